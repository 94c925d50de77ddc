-- Runs for ever where two tables are compared.
-- outcome: LuaTimeLimitError
local mt = { __eq = function() while true do end end }
return setmetatable({}, mt) == setmetatable({}, mt)
