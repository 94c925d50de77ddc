-- The same with parts that take as much as they can.
-- outcome: LuaTimeLimitError
return ("a"):rep(100000):match(".*.*.*.*b")
