-- Raises a value that fails when it is shown.
-- outcome: LuaError: (error object is a table value)
error(setmetatable({}, { __tostring = function() error("no") end }))
