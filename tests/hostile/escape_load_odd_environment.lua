-- Asks `load` for environments that are no tables, and for one whose metamethods run instead of
-- the code.
-- outcome: returns True
for _, environment in ipairs { 42, "x", true, print or next } do
  local ok, fn = pcall(load, "return _G", "=x", "t", environment)
  local ran, globals = pcall(ok and fn or error)
  if ran and globals ~= nil and not rawequal(globals, _G) then return "escaped" end
end
local names = {}
local spy = setmetatable({}, { __index = function(_, name) names[#names + 1] = name end })
local fn = load("return io, debug, _ENV", "=x", "t", spy)
return fn() == nil and names[1] == "io" and names[2] == "debug"
