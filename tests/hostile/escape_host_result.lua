-- Keeps a table that went to Python, changes it, and looks whether the copy is another.
-- outcome: returns True
local given = { inner = { 1, 2, 3 } }
local got = host.echo(given)
given.inner[1] = "changed"
return got ~= given and got.inner ~= given.inner and got.inner[1] == 1 and #got.inner == 3
