-- Catches that a text of a gigabyte is refused, where the memory is as good as empty.
-- outcome: LuaMemoryLimitError
-- or: returns 'caught'
local ok = pcall(string.rep, "x", 1000000000)
return ok and "escaped" or "caught"
