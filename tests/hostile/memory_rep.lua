-- Asks for a gigabyte in one call.
-- outcome: LuaMemoryLimitError
return #("x"):rep(1000000000)
