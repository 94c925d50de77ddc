-- Passes thousands of arguments through function after function.
-- outcome: LuaMemoryLimitError
-- or: LuaError: stack overflow
local function more(...) return more(1, ...) + 1 end
return more()
