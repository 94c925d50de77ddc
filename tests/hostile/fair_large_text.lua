-- Makes and forgets texts of megabytes, more than there is memory for in all.
-- outcome: returns 2000000
local text
for i = 1, 30 do text = ("x"):rep(2000000 - i) .. ("y"):rep(i) end
return #text
