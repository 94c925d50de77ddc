-- Two coroutines that hand over to each other after a few instructions.
-- outcome: LuaTimeLimitError
local ping = coroutine.wrap(function() while true do coroutine.yield() end end)
local pong = coroutine.wrap(function() while true do ping() coroutine.yield() end end)
while true do pong() end
