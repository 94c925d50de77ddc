-- Sorts numbers in the order that is worst for LuaJIT's quicksort: from each part it takes off but
-- two, and without a function that compares, no hook runs. Lua 5.4 chooses at random by then.
-- outcome on luajit21: LuaTimeLimitError
-- or: returns 'sorted'
-- outcome on lua54: returns 'sorted'
-- or: LuaTimeLimitError
local SIZE = 40000
-- Plays the sort: `places` says which element is where when a part is sorted.
local t, places = {}, {}
for i = 1, SIZE do places[i] = i end
local low, value = 1, 0
while SIZE - low > 2 do
  local middle = math.floor((low + SIZE) / 2)
  t[places[low]], t[places[middle]] = value + 1, value + 2
  value = value + 2
  places[middle] = places[SIZE - 1]
  places[SIZE - 1] = places[low + 1]
  low = low + 2
end
for i = low, SIZE do
  value = value + 1
  t[places[i]] = value
end
table.sort(t)
return "sorted"
