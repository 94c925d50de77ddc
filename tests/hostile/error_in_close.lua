-- Fails where a variable is closed because of another error.
-- outcome: LuaError: closing
local fail = load([[
  local variable <close> = setmetatable({}, { __close = function() error("closing") end })
  error("first")
]])
local _, why = pcall(fail or error, "closing")
error(why, 0)
