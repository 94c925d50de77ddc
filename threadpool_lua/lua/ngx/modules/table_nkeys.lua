-- The module "table.nkeys" of OpenResty's LuaJIT: how many items a table has.

local error, next, type = error, next, type

return function(t)
  if type(t) ~= "table" then
    error("bad argument #1 to 'nkeys' (table expected, got " .. type(t) .. ")", 2)
  end
  local count = 0
  for _ in next, t do count = count + 1 end
  return count
end
