-- Inserts half a billion places before the first element: LuaJIT shifts all that is between.
-- outcome on luajit21: LuaTimeLimitError
-- or: LuaError: bad argument
-- outcome on lua54: LuaError: position out of bounds
table.insert({}, -2 ^ 29, 1)
return "escaped"
