-- Numbers that some formats do not have, in a table and as the keys of one.
-- outcome: returns True
local huge = math.huge
local got = host.echo { huge, -huge, 0 / 0, [-huge] = 1, [2 ^ 53] = 2, [0.5] = 3 }
return got[1] == huge and got[2] == -huge and got[3] ~= got[3] and got[-huge] == 1
  and got[2 ^ 53] == 2 and got[0.5] == 3
