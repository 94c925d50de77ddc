-- What a function raises that reads for `load`, `load` catches.
-- outcome: LuaTimeLimitError
while true do load(function() while true do end end) end
