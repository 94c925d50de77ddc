-- Sets globals in code that it loads, in the hope that this has other ones.
-- outcome: returns True
load("poison = 'poison' string = nil table = nil")()
coroutine.wrap(function() load("poison = 'poison' math = nil")() end)()
local fn = load("poison = 'poison'", "=poison", "t")
fn()
return _G.poison == "poison"
