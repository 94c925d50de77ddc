-- Fills the stacks of coroutines that wait.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
local function dive(depth)
  if depth == 0 then return coroutine.yield() end
  return 1 + dive(depth - 1)
end
local t = {}
for i = 1, math.huge do
  t[i] = coroutine.wrap(dive)
  t[i](5000)
end
