-- Calls itself in the function that a call of it calls.
-- outcome: LuaError: overflow
-- or: LuaMemoryLimitError
local t = setmetatable({}, { __call = function(self) return 1 + self() end })
return t()
