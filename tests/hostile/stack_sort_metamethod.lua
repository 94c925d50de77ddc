-- Recurses through the `__lt` that `table.sort` calls.
-- outcome: LuaError: overflow
-- or: LuaTimeLimitError
local mt = {}
local pair = { setmetatable({}, mt), setmetatable({}, mt) }
function mt.__lt() table.sort(pair) end
table.sort(pair)
