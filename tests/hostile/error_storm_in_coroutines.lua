-- Lets ten thousand coroutines fail, each of which is left behind.
-- outcome: returns 10000
-- or: LuaTimeLimitError
local failed = 0
for _ = 1, 10000 do
  if not coroutine.resume(coroutine.create(error), {}) then failed = failed + 1 end
end
return failed
