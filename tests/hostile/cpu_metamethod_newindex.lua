-- Runs for ever where a field is set, and catches what comes of it.
-- outcome: LuaTimeLimitError
local t = setmetatable({}, { __newindex = function() while true do end end })
while true do pcall(function() t.x = 1 end) end
