-- `ipairs` of a table that has every index, except in LuaJIT, where it asks no metamethod.
-- outcome on luajit21: returns 0
-- outcome on lua54: LuaTimeLimitError
local count = 0
for _ in ipairs(setmetatable({}, { __index = rawlen or function() return 1 end })) do
  count = count + 1
end
return count
