-- As `elseif` does, operators leave the compiler jumps to look through: a chain of 100,000.
-- outcome: LuaTimeLimitError
-- or: returns 'refused'
local fn = load("local x = " .. ("x and "):rep(100000) .. "1")
return fn and "compiled" or "refused"
