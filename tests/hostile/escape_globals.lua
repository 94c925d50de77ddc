-- Looks for the globals that lead to files, processes, native code or other tasks, past
-- metatables too: a sandbox that only hides them behind `__index` would give them away.
-- outcome: returns ''
local names = {
  "arg", "debug", "dofile", "ffi", "gcinfo", "getfenv", "io", "jit", "loadfile", "module",
  "newproxy", "package", "print", "python", "setfenv", "thread", "warn",
}
local found = {}
for _, name in ipairs(names) do
  if _G[name] ~= nil or rawget(_G, name) ~= nil then found[#found + 1] = name end
end
return table.concat(found, " ")
