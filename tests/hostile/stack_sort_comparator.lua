-- Recurses through `table.sort`.
-- outcome: LuaError: overflow
-- or: LuaTimeLimitError
local function dive() table.sort({ 1, 2 }, dive) end
dive()
