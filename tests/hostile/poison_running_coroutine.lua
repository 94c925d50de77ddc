-- Ends in the midst of coroutines of its own, one of which waits for a host function.
-- outcome: returns True
local left = {}
for i = 1, 100 do
  left[i] = coroutine.create(function()
    coroutine.yield()
    host.wait()
  end)
  coroutine.resume(left[i])
end
return coroutine.status(left[1]) == "suspended"
