-- Recurses through `string.format`.
-- outcome: LuaError: overflow
-- or: LuaTimeLimitError
local t = setmetatable({}, { __tostring = function(self) return string.format("%s", self) end })
return string.format("%s", t)
