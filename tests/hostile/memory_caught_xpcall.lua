-- Catches it with a handler, which has no memory left to run with.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
local t = {}
while true do
  xpcall(function()
    while true do t[#t + 1] = ("x"):rep(100000) .. #t end
  end, function(why) return { why, {} } end)
end
