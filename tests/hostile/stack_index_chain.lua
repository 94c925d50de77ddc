-- Ten thousand tables, each of which looks into the next.
-- outcome on luajit21: LuaError: loop in gettable
-- outcome on lua54: LuaError: '__index' chain too long
local t = {}
for _ = 1, 10000 do t = setmetatable({}, { __index = t }) end
return t.x
