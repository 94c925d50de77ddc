-- Raises a function, which could be called by who shows the error.
-- outcome: LuaError: (error object is a function value)
error(function() while true do end end)
