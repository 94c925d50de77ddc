-- Moves two billion elements that are not there, in a function of C.
-- outcome: LuaTimeLimitError
table.move({}, 1, 2 ^ 31 - 2, 1)
return "escaped"
