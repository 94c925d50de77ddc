-- Raises nothing.
-- outcome: LuaError: nil
error(nil)
