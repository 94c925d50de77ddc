-- Raises a value that raises itself when it is shown.
-- outcome: LuaError: (error object is a table value)
local why
why = setmetatable({}, { __tostring = function() error(why) end })
error(why)
