-- Coroutines inside of one another, each of which goes on when the one in it is ended.
-- outcome: LuaTimeLimitError
local function spin(depth)
  if depth > 0 then coroutine.resume(coroutine.create(spin), depth - 1) end
  while true do end
end
spin(50)
