-- Gives its globals a metatable that fails: who looks something up there for it fails, too.
-- outcome: returns True
local function fail() error("poison", 0) end
pcall(setmetatable, _G, { __index = fail, __newindex = fail, __pairs = fail, __tostring = fail })
return true
