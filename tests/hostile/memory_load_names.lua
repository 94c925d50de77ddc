-- Calls its code by long names, which are kept with it.
-- outcome: LuaMemoryLimitError
local kept = {}
for i = 1, math.huge do kept[i] = load("return", "=" .. ("x"):rep(100000) .. i) end
return #kept
