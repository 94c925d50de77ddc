-- Coroutines without end that are too short for a hook that counts anew in each.
-- outcome: LuaTimeLimitError
local function nothing() end
while true do coroutine.wrap(nothing)() end
