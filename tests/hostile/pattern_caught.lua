-- Catches that a search was ended, and searches on.
-- outcome: LuaTimeLimitError
local text = ("x"):rep(100000)
while true do pcall(string.find, text, ".-.-.-.-y") end
