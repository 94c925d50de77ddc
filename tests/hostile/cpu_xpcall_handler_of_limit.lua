-- Has an error handler that runs for ever when the time is over.
-- outcome: LuaTimeLimitError
local function spin() while true do end end
xpcall(spin, spin)
return "escaped"
