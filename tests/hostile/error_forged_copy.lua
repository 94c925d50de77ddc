-- Copies an exception of a host function, which stands for one of Python's by what it is.
-- outcome: LuaError: (error object is a table value)
local _, why = pcall(host.fail)
local copy = {}
for name, value in next, why do copy[name] = value end
error(copy)
