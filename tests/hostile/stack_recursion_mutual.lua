-- Two functions that call each other, with many variables each.
-- outcome: LuaError: stack overflow
-- or: LuaMemoryLimitError
local one
local function two(a, b, c, d, e, f) return { one(f, e, d, c, b, a) } end
function one(...) return { two(...) } end
return one(1, 2, 3, 4, 5, 6)
