-- The module "table.clear" of LuaJIT, where it is missing.

local error, next, rawset, type = error, next, rawset, type

return function(t)
  if type(t) ~= "table" then
    error("bad argument #1 to 'clear' (table expected, got " .. type(t) .. ")", 2)
  end
  for key in next, t do rawset(t, key, nil) end
end
