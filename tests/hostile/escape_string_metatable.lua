-- All strings of a Lua state share one metatable: who gets at it gets at every task.
-- outcome: returns False
return getmetatable("")
