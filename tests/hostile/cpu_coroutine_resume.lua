-- A coroutine that fails is only a `false` to who resumes it.
-- outcome: LuaTimeLimitError
while true do
  coroutine.resume(coroutine.create(function() while true do end end))
end
