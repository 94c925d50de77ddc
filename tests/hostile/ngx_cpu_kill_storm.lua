-- Ends light threads, as many as it begins, wherever they are.
-- outcome: LuaTimeLimitError: time limit
local sema = require("ngx.semaphore").new(0)
while true do
  local threads = {}
  for i = 1, 30, 3 do
    threads[i] = ngx.thread.spawn(ngx.sleep, 3600)
    threads[i + 1] = ngx.thread.spawn(sema.wait, sema, 3600)
    threads[i + 2] = ngx.thread.spawn(function() while true do coroutine.yield() end end)
  end
  sema:post(5)
  for i = 30, 1, -1 do assert(ngx.thread.kill(threads[i]) or i) end
end
