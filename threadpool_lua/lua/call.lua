-- What ThreadPool.call runs: a function of a module, as ngx.run_worker_thread does.

local module, name = ...
local functions = require(module)
local fn = type(functions) == "table" and functions[name]
if fn == nil or fn == false then
  error(("module '%s' has no function '%s'"):format(module, name), 0)
end
return fn(select(3, ...))
