-- Makes the library's loading functions load once more what was taken away.
-- outcome: returns ''
local found = {}
for _, code in ipairs { "io", "os.execute", "debug", "package", "getfenv", "python", "jit" } do
  local fn = load("return " .. code)
  if fn and fn() ~= nil then found[#found + 1] = code end
end
return table.concat(found, " ")
