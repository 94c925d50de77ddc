-- Puts one long text together with itself, by `table.concat`.
-- outcome: LuaMemoryLimitError
local t, text = {}, ("x"):rep(1000000)
for i = 1, 100 do t[i] = text end
return #table.concat(t)
