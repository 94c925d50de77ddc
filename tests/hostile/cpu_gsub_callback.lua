-- Runs for ever where `string.gsub` asks for a replacement.
-- outcome: LuaTimeLimitError
while true do
  pcall(string.gsub, "xxx", "x", function() while true do end end)
end
