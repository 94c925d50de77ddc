-- Makes the random numbers of all tasks known to itself.
-- outcome: returns True
pcall(math.randomseed, 7)
local one = { math.random(2 ^ 30), math.random(2 ^ 30), math.random(2 ^ 30) }
pcall(math.randomseed, 7)
local two = { math.random(2 ^ 30), math.random(2 ^ 30), math.random(2 ^ 30) }
return one[1] ~= two[1] or one[2] ~= two[2] or one[3] ~= two[3]
