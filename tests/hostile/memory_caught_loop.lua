-- Catches that the memory is used up again and again.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
while true do
  pcall(function()
    local t = {}
    while true do t[#t + 1] = ("x"):rep(100000) .. #t end
  end)
end
