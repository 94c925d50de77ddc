-- Fails in code with an odd name, which the message shows: long, with NULs and line ends.
-- outcome: LuaError: odd
for _, name in ipairs { "=\0", "@\n\n:1:", "=" .. ("x"):rep(100000), "\255", "=[C]", "" } do
  pcall(load("error('odd')", name))
end
load("error('odd')", "@" .. ("x\0\n:7: %s"):rep(1000))()
