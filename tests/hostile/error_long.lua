-- Raises megabytes.
-- outcome: LuaError: xxxxxxxxxx
error(("x"):rep(3000000), 0)
