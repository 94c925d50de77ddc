-- Makes the order up while `table.sort` asks for it, so that quicksort always chooses badly
-- (McIlroy, "A Killer Adversary for Quicksort"): 100,000 elements take quadratic time.
-- outcome: LuaTimeLimitError
local SIZE = 100000
local ranks, solid, candidate = {}, 0, 0
local t = {}
for i = 1, SIZE do t[i], ranks[i] = i, SIZE end
table.sort(t, function(a, b)
  if ranks[a] == SIZE and ranks[b] == SIZE then
    ranks[a == candidate and a or b] = solid
    solid = solid + 1
  end
  if ranks[a] == SIZE then candidate = a elseif ranks[b] == SIZE then candidate = b end
  return ranks[a] < ranks[b]
end)
return "sorted"
