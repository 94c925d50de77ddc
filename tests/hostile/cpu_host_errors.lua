-- Catches the errors of a host function for ever.
-- outcome: LuaTimeLimitError
while true do pcall(host.fail) end
