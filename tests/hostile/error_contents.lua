-- Raises a table that cannot cross: it contains itself, and a function.
-- outcome: LuaError: (error object is a table value)
local why = { function() end }
why.why = why
error(why)
