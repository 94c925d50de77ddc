-- A few tables, each of which holds the one before twice: written out, there are 2^25.
-- outcome: MarshalError
-- or: LuaMemoryLimitError
-- or: LuaTimeLimitError
local t = { "ha" }
for _ = 1, 25 do t = { t, t } end
return t
