-- A table that calls itself for ever.
-- outcome: LuaTimeLimitError
local t = setmetatable({}, { __call = function(self) return self() end })
t()
