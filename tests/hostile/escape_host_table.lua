-- Enumerates and reads `host` for more than the functions that Python gave.
-- outcome: returns ''
local given = { echo = true, fail = true, wait = true, pause = true }
local found = {}
for name in next, host do
  if not given[name] then found[#found + 1] = tostring(name) end
end
for _, name in ipairs { "__class__", "__globals__", "__init__", "builtins", "eval", "python" } do
  if host[name] ~= nil then found[#found + 1] = name end
end
return table.concat(found, " ")
