-- Recurses without end.
-- outcome: LuaError: stack overflow
-- or: LuaMemoryLimitError
local function dive() return 1 + dive() end
return dive()
