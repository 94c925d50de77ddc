-- Has the date written 50,000 times in one call, and that for ever.
-- outcome: LuaTimeLimitError
local formats = ("%c"):rep(50000)
while true do os.date(formats) end
