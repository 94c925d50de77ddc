-- Repeats nothing, very often: Lua 5.4 does it one by one.
-- outcome: returns True
return string.rep("", 2 ^ 31 - 1) == "" and (""):rep(2 ^ 31 - 1, "") == ""
