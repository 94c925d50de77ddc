-- Runs for ever where a to-be-closed variable is closed.
-- outcome on luajit21: returns 'not in this Lua'
-- outcome on lua54: LuaTimeLimitError
local close = load([[
  local spin = setmetatable({}, { __close = function() while true do end end })
  while true do
    pcall(function() local variable <close> = spin end)
  end
]])
return close and close() or "not in this Lua"
