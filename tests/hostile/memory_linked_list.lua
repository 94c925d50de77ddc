-- Grows a list of which the task holds only the head.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
local head
while true do head = { head } end
