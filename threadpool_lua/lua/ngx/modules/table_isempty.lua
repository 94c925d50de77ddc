-- The module "table.isempty" of OpenResty's LuaJIT.

local error, next, type = error, next, type

return function(t)
  if type(t) ~= "table" then
    error("bad argument #1 to 'isempty' (table expected, got " .. type(t) .. ")", 2)
  end
  return next(t) == nil
end
