-- Catches that the memory is used up, and lets go of it: whoever may go on, goes on.
-- outcome: LuaMemoryLimitError
-- or: returns 'caught'
local ok = pcall(function()
  local t = {}
  while true do t[#t + 1] = ("x"):rep(100000) .. #t end
end)
return ok and "escaped" or "caught"
