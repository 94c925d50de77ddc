-- The module "table.clone" of OpenResty's LuaJIT: a copy without the metatable.

local error, next, type = error, next, type

return function(t)
  if type(t) ~= "table" then
    error("bad argument #1 to 'clone' (table expected, got " .. type(t) .. ")", 2)
  end
  local copy = {}
  for key, value in next, t do copy[key] = value end
  return copy
end
