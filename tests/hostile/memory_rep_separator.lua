-- Asks for a terabyte that is nearly all separators.
-- outcome: LuaMemoryLimitError
-- or: LuaError: resulting string too large
local long = ("x"):rep(1000000)
return #string.rep("", 1000000, long)
