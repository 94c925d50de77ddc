-- A finalizer runs whenever the collector comes to it, with no task to be blamed. From Lua 5.2 on
-- `true` in its place is enough to add the function later.
-- outcome: returns ''
local found = {}
local tries = { ["function"] = function() end, ["true"] = true, ["false"] = false, table = {} }
for name, value in next, tries do
  if pcall(setmetatable, {}, { __gc = value }) then found[#found + 1] = name end
end
return table.concat(found, " ")
