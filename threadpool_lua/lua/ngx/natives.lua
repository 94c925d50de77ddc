-- What tasks run that other tasks have begun: see worker_thread.lua and the module
-- resty.threadpool. What they return goes to Python by a request, so that all strings
-- pass, whatever the encoding of the pool is.

local api = ...

local create, resume, status = coroutine.create, coroutine.resume, coroutine.status
local error, type = error, type
local environment, functions = api.environment, api.functions
local try_request = api.try_request

local function passed(what, could_pause, ok, ...)
  if not could_pause then error(ok, 0) end
  if not ok then error("unsupported " .. what .. " value", 0) end
  return ...
end

local function deliver(...)
  passed("return", try_request("worker_thread.done", ...))
end

local natives = {}

-- Calls a function of a module.
function natives.call(module_name, name, ...)
  local module = environment().require(module_name)
  if type(module) ~= "table" then error("invalid lua module", 0) end
  if type(module[name]) ~= "function" then error("invalid function", 0) end
  deliver(module[name](...))
end

local function exchange(co, ok, ...)
  if not ok then error((...), 0) end
  if status(co) == "dead" then return deliver(...) end
  return exchange(co, resume(co, passed("yielded", try_request("threadpool.yield", ...))))
end

-- Runs a function that came from another state, until it returns.
function natives.coroutine(description, ...)
  local co = create(functions.build(description, environment()))
  return exchange(co, resume(co, ...))
end

return natives
