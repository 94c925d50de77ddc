-- Makes many texts that are all different.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
local t = {}
for i = 1, math.huge do t[i] = ("text"):rep(100) .. i end
return #t
