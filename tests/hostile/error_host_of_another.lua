-- Raises a second exception while it holds the first, and the first then.
-- outcome: returns True
local _, first = pcall(host.fail)
local _, second = pcall(host.fail)
local _, again = pcall(error, first)
return rawequal(again, first) and not rawequal(first, second)
