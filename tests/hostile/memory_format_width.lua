-- Asks for a number a hundred thousand digits wide.
-- outcome: LuaError: format
-- or: LuaError: invalid conversion
return #string.format("%100000d", 1)
