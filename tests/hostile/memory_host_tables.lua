-- The same with tables, which Lua reads itself.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
local kept, rows = {}, {}
for i = 1, 1000 do rows[i] = { i } end
for i = 1, math.huge do kept[i] = host.echo(rows) end
return #kept
