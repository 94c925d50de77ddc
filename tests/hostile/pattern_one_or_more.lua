-- The same with `+`, captures and a class, which no plain search can decide.
-- outcome: LuaTimeLimitError
return ("ab"):rep(50000):match("(%a+)(%a+)(%a+)(%a+)%d")
