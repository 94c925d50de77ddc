-- Gives each library a metatable that answers for what it has, or had.
-- outcome: returns True
local mt = { __index = function() return "poison" end, __newindex = error, __metatable = "mine" }
for _, library in ipairs { string, table, math, os, coroutine, host, ngx, _G } do
  pcall(setmetatable, library, mt)
end
return true
