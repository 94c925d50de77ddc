-- Each coroutine makes the next, and ends: nothing runs for long, and nothing ever returns.
-- outcome: LuaTimeLimitError
local next_one
local function step() next_one = coroutine.create(step) end
step()
while true do coroutine.resume(next_one) end
