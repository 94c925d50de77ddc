-- A result whose metamethods would run for ever, were they asked.
-- outcome: returns {'x': 1}
local function spin() while true do end end
local mt = {
  __index = spin, __len = spin, __pairs = spin, __ipairs = spin, __tostring = spin, __eq = spin,
}
return setmetatable({ x = 1 }, mt)
