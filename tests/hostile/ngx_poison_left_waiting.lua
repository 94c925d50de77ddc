-- Leaves light threads of all kinds behind, and fails: nothing of them goes on.
-- outcome: LuaError: enough
-- the state may be lost
local sema = require("ngx.semaphore").new(0)
for _ = 1, 100 do
  ngx.thread.spawn(function() sema:wait(1e9) ngx.md5() end)
  ngx.thread.spawn(function() while true do ngx.sleep(0) end end)
  ngx.thread.spawn(function() while true do coroutine.yield() end end)
  ngx.thread.spawn(function() ngx.thread.wait(ngx.thread.spawn(ngx.sleep, 1e9)) end)
  ngx.thread.spawn(function() host.wait(nil, 3600) end)
  coroutine.wrap(function() ngx.thread.spawn(ngx.sleep, 3600) coroutine.yield() end)()
end
ngx.sleep(0.001)
sema:post(50)
error("enough", 0)
