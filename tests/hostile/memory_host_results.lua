-- Has a host function bring back what it was given, again and again: as lupa passes a value, the
-- limit does not hold.
-- outcome: LuaMemoryLimitError
local kept = {}
for i = 1, math.huge do kept[i] = host.echo(("x"):rep(100000) .. i) end
return #kept
