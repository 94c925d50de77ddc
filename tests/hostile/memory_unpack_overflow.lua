-- Asks for so many values that their number is none any more.
-- outcome: returns True
local unpack = unpack or table.unpack
local few = select("#", pcall(unpack, {}, -2 ^ 31, 2 ^ 31 - 1))
local none = select("#", pcall(unpack, {}, 1, 2 ^ 53))
return few <= 2 and none <= 2
