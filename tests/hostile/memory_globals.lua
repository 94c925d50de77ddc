-- Grows the table of the task's own globals.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
for i = 1, math.huge do _G[("name"):rep(100) .. i] = {} end
