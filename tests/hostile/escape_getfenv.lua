-- Takes the environment of a function of the library, or of the caller's caller.
-- outcome: returns True
local got = { pcall(function() return getfenv(0) end) }
local also = { pcall(function() return getfenv(pcall) end) }
local set = pcall(function() return setfenv(1, {}) end)
return not got[1] and not also[1] and not set
