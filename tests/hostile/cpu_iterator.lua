-- An iterator that never ends, and is a function of C.
-- outcome: LuaTimeLimitError
for _ in rawequal, 1, 1 do end
