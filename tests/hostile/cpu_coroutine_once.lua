-- Goes on after a coroutine of its own has been ended.
-- outcome: LuaTimeLimitError
local ok = coroutine.resume(coroutine.create(function() while true do end end))
return "escaped: " .. tostring(ok)
