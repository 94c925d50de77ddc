-- Repeats nothing, and says how often in a text, which Lua takes for a number.
-- outcome: returns True
-- or: LuaTimeLimitError
return string.rep("", "2147483647") == "" or "other"
