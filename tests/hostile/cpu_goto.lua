-- A loop of nothing but a jump.
-- outcome: LuaTimeLimitError
load("::again:: goto again")()
