-- Asks for so much that its size is none any more: too much, or by overflow nothing.
-- outcome: returns True
local ok, got = pcall(string.rep, "xx", 2 ^ 52)
local _, other = pcall(string.rep, ("x"):rep(65536), 2 ^ 48, ("y"):rep(65536))
return (not ok or got == "") and #tostring(other) < 100
