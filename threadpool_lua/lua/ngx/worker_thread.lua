-- ngx.run_worker_thread: another task runs a function of a module, on any pool.

local api = ...

local error, select, type = error, select, type
local try_request = api.try_request

local function is_text(value)
  return type(value) == "string" or type(value) == "number"
end

local function results(could_pause, ok, ...)
  if not could_pause then error(ok, 3) end
  if not ok then return false, "unsupported argument type" end
  return ...
end

-- Returns true and what the function returns, or false and why not.
local function run_worker_thread(...)
  if select("#", ...) < 3 then return false, "expecting at least 3 arguments" end
  local pool, module, name = ...
  if not is_text(pool) then return false, "threadpool should be a string" end
  if not is_text(module) then return false, "module name should be a string" end
  if not is_text(name) then return false, "function name should be a string" end
  return results(try_request("worker_thread.run", pool .. "", module .. "", name .. "",
    select(4, ...)))
end

return { run_worker_thread = run_worker_thread }
