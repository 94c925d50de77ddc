-- Requires what is no name, or says another name each time that it is asked.
-- outcome: returns ''
local asked = 0
local liar = setmetatable({}, {
  __tostring = function()
    asked = asked + 1
    return asked == 1 and "string" or "io"
  end,
  __eq = function() return true end,
})
local found = {}
for name, value in next, { boolean = true, number = 1, table = {}, liar = liar, f = next } do
  if pcall(require, value) then found[#found + 1] = name end
end
if pcall(require) then found[#found + 1] = "nothing" end
if pcall(require, nil) then found[#found + 1] = "nil" end
return table.concat(found, " ")
