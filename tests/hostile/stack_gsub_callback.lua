-- Recurses through `string.gsub`, of which each call takes kilobytes of the thread's own stack.
-- outcome: LuaError: overflow
local function dive() return (("x"):gsub("x", dive)) end
return dive()
