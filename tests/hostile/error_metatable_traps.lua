-- Raises a value whose metatable's own metatable fails whatever it is asked.
-- outcome: LuaError: (error object is a table value)
error(setmetatable({}, setmetatable({}, { __index = error, __len = error, __pairs = error })))
