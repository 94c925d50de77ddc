-- Gives others a turn all the time while it grows.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
local t = {}
while true do
  for _ = 1, 10000 do t[#t + 1] = {} end
  coroutine.yield()
end
