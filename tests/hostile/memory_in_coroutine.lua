-- Grows in a coroutine, whose error is only a `false` to who resumes it.
-- outcome: LuaMemoryLimitError
-- or: returns 'caught'
local t = {}
local co = coroutine.create(function()
  while true do t[#t + 1] = ("x"):rep(100000) .. #t end
end)
return coroutine.resume(co) and "escaped" or "caught"
