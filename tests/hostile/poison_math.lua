-- Replaces every function of `math`, and pi.
-- outcome: returns True
for name in next, math do rawset(math, name, -1) end
rawset(math, "poison", true)
return true
