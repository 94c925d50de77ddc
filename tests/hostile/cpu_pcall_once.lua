-- Catches the end of its time, and goes on as if nothing were.
-- outcome: LuaTimeLimitError
local ok = pcall(function() while true do end end)
return "escaped: " .. tostring(ok)
