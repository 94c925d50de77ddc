-- Reads the field in the function that is called where there is no such field.
-- outcome: LuaError: overflow
local t = setmetatable({}, { __index = function(self, key) return self[key] .. "x" end })
return t.x
