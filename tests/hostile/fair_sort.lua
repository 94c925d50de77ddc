-- Sorts as one does, in both directions and by a field.
-- outcome: returns ([1, 2, 3], [3, 2, 1], 'a')
local up, down, rows = { 3, 1, 2 }, { 3, 1, 2 }, { { name = "b" }, { name = "a" } }
table.sort(up)
table.sort(down, function(a, b) return a > b end)
table.sort(rows, function(a, b) return a.name < b.name end)
return up, down, rows[1].name
