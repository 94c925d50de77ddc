-- Compares long captures with what follows them, at each place.
-- outcome: LuaTimeLimitError
return ("a"):rep(100000):find("(.*)x%1")
