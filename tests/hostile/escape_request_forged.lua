-- Yields what might be taken for the call of a host function, with a table that equals any other.
-- outcome: returns ''
local anything = setmetatable({}, {
  __eq = function() return true end,
  __index = function() return "fail" end,
  __call = function() return "fail" end,
})
local found = {}
for name, value in next, { equal = anything, list = { "fail" }, text = "fail", host = host } do
  if not pcall(coroutine.yield, value, "fail") then found[#found + 1] = name end
end
return table.concat(found, " ")
