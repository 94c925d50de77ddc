-- Requires each of the standard libraries and modules, which are loaded although nobody may use
-- them. That of a library the task has is its own. Two modules of LuaJIT's do no harm.
-- outcome: returns 'table.clear table.new'
local names = {
  "_G", "bit", "coroutine", "debug", "ffi", "io", "jit", "jit.opt", "jit.p", "jit.util", "lupa",
  "math", "os", "package", "python", "string", "string.buffer", "table", "table.clear",
  "table.new", "thread.exdata", "utf8",
}
local found = {}
for _, name in ipairs(names) do
  local ok, module = pcall(require, name)
  if ok and not rawequal(module, _G[name]) then found[#found + 1] = name end
end
return table.concat(found, " ")
