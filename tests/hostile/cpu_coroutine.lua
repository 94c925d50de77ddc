-- Runs for ever in a coroutine, which has hooks of its own except in LuaJIT.
-- outcome: LuaTimeLimitError
coroutine.wrap(function() while true do end end)()
return "escaped"
