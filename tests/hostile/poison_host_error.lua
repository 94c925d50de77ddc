-- Changes what all exceptions of host functions have in common.
-- outcome: returns True
local _, why = pcall(host.fail)
local function poison() return "poison" end
pcall(function() getmetatable(why).__tostring = poison end)
pcall(rawset, getmetatable(why), "__tostring", poison)
pcall(setmetatable, why, { __tostring = poison, __index = poison })
why.type, why.message = "poison", "poison"
return true
