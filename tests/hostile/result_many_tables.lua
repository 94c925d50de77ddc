-- Many small tables, which are more to Python than they are to Lua.
-- outcome: returns 100000
local t = {}
for i = 1, 100000 do t[i] = { i } end
return #host.echo(t)
