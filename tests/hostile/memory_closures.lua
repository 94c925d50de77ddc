-- Makes functions.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
local t = {}
for i = 1, math.huge do t[i] = function() return i end end
return #t
