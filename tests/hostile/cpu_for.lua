-- Counts to infinity.
-- outcome: LuaTimeLimitError
local sum = 0
for i = 1, math.huge do sum = sum + i end
return sum
