-- Gives `load` text without end.
-- outcome: LuaTimeLimitError
-- or: LuaMemoryLimitError
load(function() return " " end)
return "escaped"
