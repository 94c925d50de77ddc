-- Raises what would be a format to who formats it, in Lua, Python and logging.
-- outcome: LuaError: %s %d {0} {} %n$s
error("%s %d {0} {} %n$s", 0)
