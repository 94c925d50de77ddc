-- Raises a table.
-- outcome: LuaError: (error object is a table value)
error { code = 7 }
