-- Keeps thousands of arguments in table after table.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
local unpack = unpack or table.unpack
local t, numbers = {}, {}
for i = 1, 5000 do numbers[i] = i end
local function keep(...) t[#t + 1] = { ... } end
while true do keep(unpack(numbers)) end
