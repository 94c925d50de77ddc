-- Raises what is nothing to Python, and cannot be indexed.
-- outcome: LuaError: (error object is a
-- or: LuaError: null
error(null)
