-- Formats numbers with a hundred digits, many at once.
-- outcome: LuaTimeLimitError
local formats, numbers = ("%.99f"):rep(100), {}
for i = 1, 100 do numbers[i] = 1e308 / 3 end
local unpack = unpack or table.unpack
while true do string.format(formats, unpack(numbers)) end
