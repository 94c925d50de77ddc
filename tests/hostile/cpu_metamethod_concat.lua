-- Runs for ever where values are put together.
-- outcome: LuaTimeLimitError
return setmetatable({}, { __concat = function() while true do end end }) .. "x"
