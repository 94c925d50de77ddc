-- Resumes, wraps and closes light threads by hand while they wait.
-- outcome: returns True
local thread, status = ngx.thread, coroutine.status
local waiting = thread.spawn(function() ngx.sleep(0.001) return "waited" end)
local ok, why = coroutine.resume(waiting, "forged")
assert(not ok and why == "cannot resume non-suspended coroutine")
if coroutine.close then assert(not pcall(coroutine.close, waiting)) end
assert(select(2, thread.wait(waiting)) == "waited")
local yielding = thread.spawn(function() return coroutine.yield(1) end)
coroutine.resume(yielding, "by hand")
if coroutine.close then pcall(coroutine.close, yielding) end
thread.wait(yielding)
assert(status(yielding) == "dead")
local killed = thread.spawn(function() pcall(ngx.sleep, 3600) return "alive" end)
thread.kill(killed)
for _ = 1, 3 do
  coroutine.resume(killed, "forged")
  ngx.sleep(0)
end
return thread.kill(killed) == nil
