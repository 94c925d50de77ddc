-- Replaces each of a million bytes by a million.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
local text = ("x"):rep(1000000)
return #text:gsub("x", text)
