-- Waits for, and ends, coroutines that are no light threads, or those of other coroutines.
-- outcome: returns True
local thread = ngx.thread
local me = coroutine.running()
local function fails(...) return not pcall(...) end
assert(fails(thread.wait, me) and thread.kill(me) == nil)
assert(fails(thread.wait, coroutine.create(type)) and fails(thread.wait) and fails(thread.kill))
local child
local parent = thread.spawn(function()
  child = thread.spawn(function() ngx.sleep(0.01) return "child" end)
  local by = coroutine.running()
  assert(fails(thread.wait, by) and select(2, thread.kill(by)) == "killer not parent")
  assert(fails(thread.wait, me) and select(2, thread.kill(me)) == "not user thread")
  return select(2, thread.wait(child))
end)
assert(fails(thread.wait, child) and thread.kill(child) == nil)
assert(coroutine.wrap(function() return fails(thread.wait, parent) end)())
return select(2, thread.wait(parent)) == "child"
