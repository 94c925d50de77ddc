-- Sorts by orders that are none: each call may fail, run out of bounds, or take too long.
-- outcome: LuaTimeLimitError
local t = {}
for i = 1, 1000 do t[i] = i end
local orders = {
  function() return true end,
  function(a, b) return a <= b end,
  function() return math.random(2) == 1 end,
  function(a, b) return a ~= b end,
}
while true do
  for _, order in ipairs(orders) do pcall(table.sort, t, order) end
end
