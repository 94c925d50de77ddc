-- Adds, negates, compares and joins in the metamethods for just that.
-- outcome: returns True
local mt = {}
local a, b = setmetatable({}, mt), setmetatable({}, mt)
function mt.__add() return 1 + (a + b) end
function mt.__unm() return 1 + -a end
function mt.__lt() return not (b < a) end -- luacheck: ignore 581
function mt.__eq() return not (a == b) end -- luacheck: ignore 581
function mt.__concat() return (a .. b) .. "x" end
local ways = {
  function() return a + b end, function() return -a end, function() return a < b end,
  function() return a == b end, function() return a .. b end,
}
for _, way in ipairs(ways) do
  local ok, why = pcall(way)
  if ok or not why:find("overflow") then return why end
end
return true
