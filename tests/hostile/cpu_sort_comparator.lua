-- Runs for ever where `table.sort` asks which is less.
-- outcome: LuaTimeLimitError
table.sort({ 1, 2, 3 }, function() while true do end end)
