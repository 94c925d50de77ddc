-- A table that looks into itself.
-- outcome on luajit21: LuaError: loop in gettable
-- outcome on lua54: LuaError: '__index' chain too long
local t = {}
setmetatable(t, t)
t.__index = t
return t.x
