-- Runs for ever where `table.sort`, a function of C, compares.
-- outcome: LuaTimeLimitError
local mt = { __lt = function() while true do end end }
table.sort { setmetatable({}, mt), setmetatable({}, mt) }
