-- Replaces each byte by what a function returns, which is long.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
local text = ("x"):rep(1000000)
return #text:gsub("x", function() return text end)
