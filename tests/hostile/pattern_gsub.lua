-- The same for `string.gsub`, with nothing to replace.
-- outcome: LuaTimeLimitError
return ("a"):rep(100000):gsub("a-a-a-b", "")
