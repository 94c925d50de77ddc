-- Looks for balance at each of many opening brackets, and each time goes to the end.
-- outcome: LuaTimeLimitError
return ("("):rep(200000):find("%b()")
