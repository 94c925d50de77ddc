-- Makes a table of a million elements with code that lists them.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
local make = load("return {" .. ("{},"):rep(10000) .. "}")
local kept = {}
for i = 1, math.huge do kept[i] = make() end
return #kept
