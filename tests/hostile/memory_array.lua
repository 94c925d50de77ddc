-- Grows one flat table, which doubles: the last step asks for a lot at once.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
local t = {}
for i = 1, math.huge do t[i] = i end
return #t
