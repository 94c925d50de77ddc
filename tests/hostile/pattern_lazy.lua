-- A pattern that tries all ways to share a long text between its parts, and finds nothing.
-- outcome: LuaTimeLimitError
return ("x"):rep(100000):find(".-.-.-.-y")
