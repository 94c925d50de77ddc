-- Has two light threads hand each other a unit for ever, and many wait in vain.
-- outcome: LuaTimeLimitError: time limit
local semaphore = require "ngx.semaphore"
local ping, pong, never = semaphore.new(0), semaphore.new(1), semaphore.new(0)
for _ = 1, 200 do ngx.thread.spawn(function() while true do never:wait(0.001) end end) end
ngx.thread.spawn(function() while true do ping:wait(1) pong:post() end end)
while true do pong:wait(1) ping:post(1e300) end
