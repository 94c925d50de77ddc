-- Looks for a long needle in a text that looks like it nearly everywhere: no pattern at all.
-- outcome: LuaTimeLimitError
-- or: returns None
local text, needle = ("x"):rep(4000000), ("x"):rep(2000000) .. "y"
return (text:find(needle, 1, true))
