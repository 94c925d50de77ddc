-- Replaces the metatable of strings, or what is in it.
-- outcome: returns True
pcall(setmetatable, "", { __index = { rep = function() return "poison" end } })
pcall(function() getmetatable("").__index = function() return "poison" end end)
pcall(rawset, getmetatable(""), "__index", function() return "poison" end)
pcall(function() getmetatable("").__metatable = nil end)
pcall(function() ("").rep = function() return "poison" end end)
return ("x"):rep(3) == "xxx"
