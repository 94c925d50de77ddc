-- The module "table.isarray" of OpenResty's LuaJIT: whether all keys are
-- integers.

local error, next, type = error, next, type

return function(t)
  if type(t) ~= "table" then
    error("bad argument #1 to 'isarray' (table expected, got " .. type(t) .. ")", 2)
  end
  for key in next, t do
    if type(key) ~= "number" or key % 1 ~= 0 then return false end
  end
  return true
end
