-- Compiles for ever: in the compiler no hook runs.
-- outcome: LuaTimeLimitError
while true do load("return function() return 1 end")() end
