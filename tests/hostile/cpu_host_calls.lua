-- Pauses for a host function all the time, so that each step of it is shorter than a hook's.
-- outcome: LuaTimeLimitError
while true do host.echo() end
