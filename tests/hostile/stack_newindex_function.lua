-- Sets the field in the function that is called where there is no such field.
-- outcome: LuaError: overflow
local t = setmetatable({}, { __newindex = function(self, key, value) self[key] = value end })
t.x = 1
