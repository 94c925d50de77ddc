-- Raises Lua's own message out of a coroutine, which raises it again.
-- outcome: LuaError: not enough memory
local forge = coroutine.wrap(function() error("not enough memory", 0) end)
local _, why = pcall(forge)
error(why, 0)
