-- Puts long texts together and forgets them: each instruction takes a millisecond.
-- outcome: LuaTimeLimitError
-- or: LuaMemoryLimitError
local text = ("x"):rep(4000000)
for i = 1, math.huge do
  local _ = text .. i
end
