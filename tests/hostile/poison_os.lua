-- Replaces what is left of `os`.
-- outcome: returns True
for name in next, os do rawset(os, name, function() return "poison" end) end
rawset(os, "poison", true)
return true
