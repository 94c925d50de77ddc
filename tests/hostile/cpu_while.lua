-- Runs for ever. LuaJIT would compile the loop, and compiled code has no hooks.
-- outcome: LuaTimeLimitError
while true do end
