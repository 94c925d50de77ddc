-- Replaces every function of `table`.
-- outcome: returns True
for name in next, table do rawset(table, name, function() return "poison" end) end
rawset(table, "poison", true)
return true
