-- Catches the end of its time inside of a coroutine, and yields it as a success.
-- outcome: LuaTimeLimitError
local spin = coroutine.wrap(function()
  while true do coroutine.yield(pcall(function() while true do end end)) end
end)
while true do spin() end
