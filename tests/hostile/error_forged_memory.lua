-- Raises Lua's own message for too little memory.
-- outcome: LuaError: not enough memory
error("not enough memory", 0)
