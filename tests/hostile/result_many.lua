-- As many results as the stack holds.
-- outcome on luajit21: LuaError: too many results to unpack
-- outcome on lua54: LuaError: stack overflow
-- or: LuaError: too many results
-- or: LuaMemoryLimitError
return (unpack or table.unpack)({}, 1, 500000)
