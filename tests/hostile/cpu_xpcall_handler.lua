-- Runs for ever in an error handler, where Lua has no hooks.
-- outcome: LuaTimeLimitError
xpcall(error, function() while true do end end)
