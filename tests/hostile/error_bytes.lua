-- Raises NUL and bytes that are no text.
-- outcome: LuaError: \xff
error("\0\255\254", 0)
