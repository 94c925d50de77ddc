-- `pcall` of `pcall` leaves no Lua code between the two where a hook could run.
-- outcome: LuaTimeLimitError
while true do
  pcall(pcall, pcall, pcall, pcall, function() while true do end end)
end
