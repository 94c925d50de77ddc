-- `tostring` as the last call of the metamethod that it calls: on LuaJIT that loops in C alone.
-- outcome on luajit21: LuaTimeLimitError
-- outcome on lua54: LuaError: stack overflow
local t = setmetatable({}, { __tostring = function(self) return tostring(self) end })
return tostring(t)
