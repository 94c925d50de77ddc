-- Tail calls go on for ever without a stack.
-- outcome: LuaTimeLimitError
local function one(f, g) return g(g, f) end
return one(one, one)
