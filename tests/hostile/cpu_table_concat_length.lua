-- Puts together a table that has an empty text everywhere.
-- outcome on luajit21: LuaError: invalid value
-- outcome on lua54: LuaTimeLimitError
-- or: LuaMemoryLimitError
local t = setmetatable({}, { __index = function() return "" end })
return table.concat(t, "", 1, 2 ^ 30)
