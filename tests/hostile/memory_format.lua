-- Formats one long text a hundred times in one call.
-- outcome: LuaMemoryLimitError
local text, arguments = ("x"):rep(1000000), {}
for i = 1, 100 do arguments[i] = text end
return #string.format(("%s"):rep(100), (unpack or table.unpack)(arguments))
