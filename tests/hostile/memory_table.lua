-- Grows a table of tables.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
local t = {}
while true do t[#t + 1] = {} end
