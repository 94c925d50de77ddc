-- Passes thousands of arguments from function to function of C, which each copy them.
-- outcome: LuaTimeLimitError
local unpack = unpack or table.unpack
local t = {}
for i = 1, 7000 do t[i] = i end
while true do
  pcall(select, -1, unpack(t))
  pcall(math.max, unpack(t))
  pcall(string.char, unpack(t))
  pcall(rawequal, unpack(t))
end
