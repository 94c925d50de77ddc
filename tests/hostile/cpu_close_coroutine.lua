-- Closes a coroutine that is paused, whose variables take for ever to be closed.
-- outcome on luajit21: returns 'not in this Lua'
-- outcome on lua54: LuaTimeLimitError
local close = load([[
  local co = coroutine.create(function()
    local variable <close> = setmetatable({}, { __close = function() while true do end end })
    coroutine.yield()
  end)
  coroutine.resume(co)
  return "escaped", coroutine.close(co)
]])
if not close then return "not in this Lua" end
return close()
