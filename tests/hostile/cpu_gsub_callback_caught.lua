-- Catches the end of its time in one callback after the other.
-- outcome: LuaTimeLimitError
return (("x"):rep(1000):gsub("x", function()
  pcall(function() while true do end end)
end))
