-- Replaces host functions, past the metatable that keeps it from doing so by mistake.
-- outcome: returns True
for _, name in ipairs { "echo", "fail", "wait", "pause", "poison" } do
  pcall(function() host[name] = next end)
  pcall(rawset, host, name, function() return "poison" end)
end
return true
