-- Ends, and waits for, oneself, one's parent, and those that wait for one another.
-- outcome: returns True
local thread = ngx.thread
local one, other
one = thread.spawn(function()
  ngx.sleep(0)
  local me = coroutine.running()
  assert(not pcall(thread.wait, me) and not thread.kill(me))
  assert(not pcall(thread.wait, other) and not thread.kill(other))
  return 1
end)
other = thread.spawn(function()
  ngx.sleep(0)
  assert(not pcall(thread.wait, one) and not thread.kill(one))
  return 2
end)
local ok, n = thread.wait(one, one, other, one)
assert(ok and n == 1)
assert(select(2, thread.wait(other)) == 2 and thread.wait(other) == nil)
local killed = thread.spawn(function()
  thread.spawn(function() ngx.sleep(0) n = n + 1 end)
  ngx.sleep(3600)
end)
assert(thread.kill(killed) == 1 and thread.kill(killed) == nil)
ngx.sleep(0.01)
return n == 2
