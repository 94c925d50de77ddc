-- What ThreadPool.call runs: a function of a module, as ngx.run_worker_thread does.

local module, name = ...
local functions = require(module)
local found = type(functions) == "table" and functions[name]
if not found then
  error(("module '%s' has no function '%s'"):format(module, name), 0)
elseif type(found) ~= "function" and not (getmetatable(found) or {}).__call then
  error(("'%s' of module '%s' is a %s, not a function"):format(name, module, type(found)), 0)
end
return functions[name](select(3, ...))
