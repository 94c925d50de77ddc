-- Removes the head of a table that says it is very long.
-- outcome on luajit21: returns 'removed'
-- outcome on lua54: LuaTimeLimitError
table.remove(setmetatable({}, { __len = function() return 2 ^ 40 end }), 1)
return "removed"
