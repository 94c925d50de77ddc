-- Runs for ever where a text is asked for, by `tostring` and by `string.format`.
-- outcome: LuaTimeLimitError
local t = setmetatable({}, { __tostring = function() while true do end end })
pcall(tostring, t)
return string.format("%s", t)
