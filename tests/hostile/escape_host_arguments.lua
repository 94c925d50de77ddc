-- Passes functions and coroutines to Python, so that Python would call back into the state, and
-- values that would have to be read by their metamethods.
-- outcome: returns ''
local trap = function() error("a metamethod ran", 0) end
local mt = { __index = trap, __len = trap, __pairs = trap, __tostring = trap, __call = trap }
local found = {}
for _, value in ipairs { print or next, trap, coroutine.running(), { trap }, { [{}] = 1 } } do
  local ok, why = pcall(host.echo, value)
  if ok then
    found[#found + 1] = type(value)
  elseif not tostring(why):find("cannot pass", 1, true) then
    found[#found + 1] = tostring(why)
  end
end
local ok, copy = pcall(host.echo, setmetatable({ x = 1 }, mt))
if not ok or rawget(copy, "x") ~= 1 or getmetatable(copy) then found[#found + 1] = "metatable" end
return table.concat(found, ", ")
