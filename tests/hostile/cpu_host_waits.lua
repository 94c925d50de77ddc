-- Awaits an async host function between pieces of work.
-- outcome: LuaTimeLimitError
while true do
  for _ = 1, 100000 do end
  host.wait()
end
