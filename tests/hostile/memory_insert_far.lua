-- Puts an element where a table of that length would be far too long.
-- outcome: returns {1073741824: 'x'}
local t = {}
t[2 ^ 30] = "x"
return t
