-- Puts something into `null`, which is a table where Lua has no null pointer.
-- outcome: returns True
pcall(rawset, null, "poison", "poison")
pcall(rawset, null, 1, "poison")
pcall(function() null.poison = "poison" end)
pcall(setmetatable, null, { __index = function() return "poison" end })
pcall(function() getmetatable(null).__index = { poison = "poison" } end)
return true
