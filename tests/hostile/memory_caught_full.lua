-- Catches that the memory is used up, keeps it all, and goes on where nothing is left.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
local t = {}
while true do
  pcall(function()
    while true do t[#t + 1] = ("x"):rep(100000) .. #t end
  end)
end
