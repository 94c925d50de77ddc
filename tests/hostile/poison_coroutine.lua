-- Replaces every function of `coroutine`, by which host functions are called as well.
-- outcome: returns 'still'
for name in next, coroutine do rawset(coroutine, name, function() return "poison" end) end
rawset(coroutine, "poison", true)
return host.wait("still")
