-- Blames callers that are not there.
-- outcome: LuaError: nobody
pcall(error, "nobody", -1)
pcall(error, "nobody", 2 ^ 31)
error("nobody", 1000000)
