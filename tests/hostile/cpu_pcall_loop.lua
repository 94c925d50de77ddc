-- Catches the end of its time again and again.
-- outcome: LuaTimeLimitError
while true do
  pcall(function() while true do end end)
end
