-- Looks for Python's attributes behind a host function.
-- outcome: returns ''
local found = {}
for _, name in ipairs { "__globals__", "__code__", "__call__", "__self__", "__closure__" } do
  if pcall(function() return host.echo[name] end) then found[#found + 1] = name end
end
if type(host.echo) ~= "function" then found[#found + 1] = "it is a " .. type(host.echo) end
if not tostring(host.echo):find("^function") then found[#found + 1] = tostring(host.echo) end
return table.concat(found, " ")
