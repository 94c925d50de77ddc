-- Writes upon everything that a function of the library returns to it and may give to others.
-- outcome: returns True
local iterate, _, first = ipairs({})
pcall(function() iterate.poison = "poison" end)
pcall(setmetatable, iterate, {})
pcall(setmetatable, coroutine.running(), {})
pcall(rawset, next, "poison", first)
local today = os.date("*t")
today.year = "poison"
return os.date("*t").year ~= "poison"
