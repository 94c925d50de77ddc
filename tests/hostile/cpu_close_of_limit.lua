-- Has variables that are closed when its time is over, each of which runs for ever.
-- outcome on luajit21: returns 'not in this Lua'
-- outcome on lua54: LuaTimeLimitError
local close = load([[
  local function spin() while true do end end
  local closing = setmetatable({}, { __close = spin })
  local one <close> = closing
  local two <close> = closing
  pcall(function()
    local three <close> = closing
    spin()
  end)
  spin()
]])
return close and close() or "not in this Lua"
