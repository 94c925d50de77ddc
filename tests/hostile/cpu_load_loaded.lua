-- Runs for ever in code that is loaded, for which LuaJIT's compiler has to be turned off as well.
-- outcome: LuaTimeLimitError
load("local function spin() while true do end end spin()")()
