-- A pattern so long that the matcher's own recursion would not end.
-- outcome: LuaError: pattern too complex
return ("a"):rep(3000):find(("a?"):rep(3000))
