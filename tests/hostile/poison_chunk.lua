-- Changes what it can of its own code: another task may be made of the same.
-- outcome: returns (1, None)
local runs = (rawget(_G, "runs") or 0) + 1
rawset(_G, "runs", runs)
local stored = rawget(string, "stored")
rawset(string, "stored", runs)
return runs, stored
