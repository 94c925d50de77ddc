-- A table that is called by another, and that by another, ten thousand times.
-- outcome on luajit21: LuaError: attempt to call
-- outcome on lua54: returns 'called'
-- or: LuaError: overflow
local f = function() return "called" end
for _ = 1, 10000 do f = setmetatable({}, { __call = f }) end
return f()
