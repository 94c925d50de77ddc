-- Catches an exception of a host function, changes it, and raises it again.
-- outcome: ValueError: oops
local _, why = pcall(host.fail)
why.type, why.message, why.extra = "SystemExit", ("x"):rep(1000), why
error(why)
