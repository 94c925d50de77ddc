-- Raises the table of host functions.
-- outcome: LuaError: (error object is a table value)
error(host)
