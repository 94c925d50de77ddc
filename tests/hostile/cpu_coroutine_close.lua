-- Closes coroutines for ever that are not begun, and some that have failed.
-- outcome: LuaTimeLimitError
local close = coroutine.close or coroutine.status
while true do
  local co = coroutine.create(error)
  close(co)
  coroutine.resume(co)
  close(co)
end
