-- A frontier behind parts of any length.
-- outcome: LuaTimeLimitError
return ("a"):rep(100000):find(".-.-%f[b].-.-b")
