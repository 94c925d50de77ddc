-- Raises a few tables that would be 2^25 written out.
-- outcome: LuaError: (error object is a table value)
-- or: LuaMemoryLimitError
-- or: LuaTimeLimitError
local why = { "ha" }
for _ = 1, 25 do why = { why, why } end
error(why)
