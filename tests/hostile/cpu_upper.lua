-- Calls functions of C that take milliseconds for a long text.
-- outcome: LuaTimeLimitError
-- or: LuaMemoryLimitError
local text = ("x"):rep(4000000)
while true do
  text = text:upper():reverse():lower()
end
