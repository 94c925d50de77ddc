-- Inserts at the head of a table that says it is very long.
-- outcome on luajit21: returns 'inserted'
-- outcome on lua54: LuaTimeLimitError
table.insert(setmetatable({}, { __len = function() return 2 ^ 40 end }), 1, "x")
return "inserted"
