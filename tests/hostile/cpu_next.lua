-- Asks for the first key of a large table that has been emptied: each time all of it is searched.
-- outcome: LuaTimeLimitError
local t = {}
for i = 1, 500000 do t[i] = i end
for i = 1, 499999 do t[i] = nil end
while true do next(t) end
