-- Catches the end of its time in a hundred calls inside of one another, each of which goes on.
-- outcome: LuaTimeLimitError
local function spin(depth)
  if depth > 0 then pcall(spin, depth - 1) end
  while true do end
end
spin(100)
