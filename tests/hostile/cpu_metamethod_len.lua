-- Runs for ever where a length is taken, which LuaJIT asks no metamethod for.
-- outcome on luajit21: returns 0
-- outcome on lua54: LuaTimeLimitError
return #setmetatable({}, { __len = function() while true do end end })
