-- Makes coroutines, each of which waits.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
local t = {}
for i = 1, math.huge do
  t[i] = coroutine.wrap(function() coroutine.yield() end)
  t[i]()
end
