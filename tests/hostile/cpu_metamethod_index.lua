-- Runs for ever where a field is read that is not there, in a function of C as well.
-- outcome: LuaTimeLimitError
local t = setmetatable({}, { __index = function() while true do end end })
return (("x"):gsub("x", t))
