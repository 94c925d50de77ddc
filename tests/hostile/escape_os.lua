-- Takes everything in `os`: one function too many would end the process or read its environment.
-- outcome: returns ''
local allowed = { clock = true, date = true, difftime = true, time = true }
local found = {}
for name in next, os do
  if not allowed[name] then found[#found + 1] = name end
end
for _, name in ipairs { "execute", "exit", "getenv", "remove", "rename", "tmpname" } do
  if os[name] ~= nil then found[#found + 1] = name end
end
return table.concat(found, " ")
