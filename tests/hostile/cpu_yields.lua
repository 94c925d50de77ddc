-- Gives others a turn before its time is over, again and again: what it has used must add up.
-- outcome: LuaTimeLimitError
while true do
  for _ = 1, 100000 do end
  coroutine.yield()
end
