-- Yields what a closing variable is told, which is the error that ended the task.
-- outcome on luajit21: returns 'not in this Lua'
-- outcome on lua54: LuaTimeLimitError
local close = load([[
  local co = coroutine.wrap(function()
    local variable <close> = setmetatable({}, { __close = coroutine.yield })
    while true do end
  end)
  return "escaped", co()
]])
if not close then return "not in this Lua" end
return close()
