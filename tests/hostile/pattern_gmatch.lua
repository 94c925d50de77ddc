-- A pattern of quadratic cost that is begun anew at each place.
-- outcome: LuaTimeLimitError
for _ in ("a"):rep(100000):gmatch("a-a-a-b") do end
