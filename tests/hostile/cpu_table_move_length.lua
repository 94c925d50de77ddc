-- Moves elements without end from a table that has them all to one that takes them all.
-- outcome: LuaTimeLimitError
local all = setmetatable({}, { __index = function() return 1 end })
local none = setmetatable({}, { __newindex = function() end })
table.move(all, 1, 2 ^ 31 - 2, 1, none)
return "escaped"
