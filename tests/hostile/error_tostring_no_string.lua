-- Raises a value that shows itself as a table.
-- outcome: LuaError: (error object is a table value)
error(setmetatable({}, { __tostring = function() return {} end }))
