-- The same past any metatable that would keep it from doing so.
-- outcome: returns True
for _, name in ipairs { "format", "rep", "find", "gsub", "sub", "byte", "poison" } do
  rawset(string, name, function() return "poison" end)
end
return true
