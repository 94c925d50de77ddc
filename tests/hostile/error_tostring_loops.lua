-- Raises a value that is never done with showing itself.
-- outcome: LuaTimeLimitError
-- or: LuaError: (error object is a table value)
error(setmetatable({}, { __tostring = function() while true do end end }))
