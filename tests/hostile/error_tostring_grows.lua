-- Raises a value that uses up the memory when it is shown.
-- outcome: LuaMemoryLimitError
-- or: LuaError: (error object is a table value)
error(setmetatable({}, { __tostring = function() return ("x"):rep(1000000000) end }))
