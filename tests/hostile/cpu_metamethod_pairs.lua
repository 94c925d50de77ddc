-- Runs for ever where a loop begins, which LuaJIT asks no metamethod for.
-- outcome on luajit21: returns None
-- outcome on lua54: LuaTimeLimitError
for _ in pairs(setmetatable({}, { __pairs = function() while true do end end })) do end
