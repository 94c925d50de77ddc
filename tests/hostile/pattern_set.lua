-- Compares with a long set at each place, and in each way to get there.
-- outcome: LuaTimeLimitError
local set = "[" .. ("bc"):rep(10000) .. "]"
return ("a"):rep(100000):find("a-a-" .. set)
