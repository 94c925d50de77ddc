-- Thousands of results, near to where implementations differ.
-- outcome: returns 6000
local unpack = unpack or table.unpack
local t = {}
for i = 1, 6000 do t[i] = i end
return (select("#", host.echo(unpack(t))))
