-- A table that is its own `__call`.
-- outcome on luajit21: LuaError: attempt to call
-- not on lua54: it is a loop in C that no hook sees, and takes minutes to fill the stack
local t = {}
setmetatable(t, t)
t.__call = t
return t()
