-- The same at one place only, with so many parts that this is enough.
-- outcome: LuaTimeLimitError
return ("a"):rep(5000):find("^a*a*a*a*a*a*b")
