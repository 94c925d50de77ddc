-- Recurses through `string.gsub` and the `__index` of its table.
-- outcome: LuaError: overflow
local t
t = setmetatable({}, { __index = function() return (("x"):gsub("x", t)) end })
return (("x"):gsub("x", t))
