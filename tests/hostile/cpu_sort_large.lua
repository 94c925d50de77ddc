-- Sorts many numbers for ever: a single call takes hundreds of milliseconds.
-- outcome: LuaTimeLimitError
local t = {}
while true do
  for i = 1, 300000 do t[i] = i * 7919 % 300007 end
  table.sort(t)
end
