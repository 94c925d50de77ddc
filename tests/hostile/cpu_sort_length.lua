-- Sorts a table that says it is large, and has an element wherever one is asked for.
-- outcome on luajit21: returns 'sorted'
-- outcome on lua54: LuaTimeLimitError
local t = setmetatable({}, {
  __len = function() return 2 ^ 30 end,
  __index = function(_, i) return -i end,
  __newindex = function() end,
})
table.sort(t)
return "sorted"
