-- Recurses in an error handler when the stack is full.
-- outcome: returns False
-- or: LuaMemoryLimitError
local function dive() return 1 + dive() end
return (xpcall(dive, function() return dive() end))
