-- Gives a table of Lua 5.4 keys that all fall on one place when it grows: to move them there takes
-- quadratic time, a second for 32,768, within a single instruction.
-- outcome on luajit21: returns True
-- outcome on lua54: LuaTimeLimitError
-- the state may be lost
local SIZE = 2 ^ 15
local step = 2 * SIZE - 1
local t = {}
for i = 1, SIZE do t[i * step] = true end
t.one_more = true
for _ = 1, 100000 do end
return true
