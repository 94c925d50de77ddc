-- Requires files by paths, with dots, NULs and templates that could find something.
-- outcome: returns ''
local names = {
  "", ".", "..", "/etc/passwd", "./escape_walk", "../hostile/escape_walk", "..init", "a\0b",
  "tests.hostile.escape_walk", "threadpool_lua.lua.dispatcher", "threadpool_lua/lua/dispatcher",
  "?", ";", "%", ("x"):rep(100000),
}
local found = {}
for _, name in ipairs(names) do
  if pcall(require, name) then found[#found + 1] = name end
end
return table.concat(found, " ")
