-- The globals that tasks see: the libraries, without the road into Python that
-- lupa puts among them, and a table of globals for each task.

local values, package_path, package_cpath = ...

local _G, error, load, loadfile, rawequal = _G, error, load, loadfile, rawequal
local select, setfenv, type = select, setfenv, type
local getmetatable, setmetatable = debug.getmetatable, setmetatable


----------------------------------------------------------------------- libraries

_G.python = nil
package.loaded.python = nil
local registry = debug.getregistry() -- where lupa keeps Python's objects
registry.Py_None, registry.POBJECT, registry.LUPA_PYTHON_REFERENCES_TABLE = nil, nil, nil

-- In Lua's own notation, ";;" stands for the implementation's default path.
-- Without a cpath no C module loads: one that was built for another Lua
-- implementation than the first with a cpath would crash the process.
if package_path then
  package.path = (package_path:gsub(";;", function() return ";" .. package.path .. ";" end))
end
if package_cpath then
  package.cpath = (package_cpath:gsub(";;", function() return ";" .. package.cpath .. ";" end))
else
  package.cpath = ""
end

os.exit = function()
  error("os.exit is not available on a thread pool: it would end the whole process", 2)
end

-- What modules and `init` see, too.
_G.null = values.null
_G.list = values.list
_G.ngx = { null = values.null }


--------------------------------------------------------------------- environments

-- Every task has its own table of globals. What it does not hold is looked up
-- here, and behind that in the state's _G, where `init` and modules put theirs.
local overrides = setmetatable({}, { __index = _G })
local environment_mt = { __index = overrides, __metatable = false } -- shared, so out of reach

-- The environment of the task that runs now: code that a task loads belongs to it.
local current

local function new()
  local environment = { _G = false }
  environment._G = environment
  setmetatable(environment, environment_mt)
  current = environment
  return environment
end

local function get_current()
  return current
end

-- Makes the environment of a task that goes on the current one.
local function enter(environment)
  current = environment
end

local function is_environment(value)
  if rawequal(value, _G) then return true end
  return type(value) == "table" and rawequal(getmetatable(value), environment_mt)
end

if setfenv then
  -- An environment of the caller's own is the argument number `last`.
  local function in_task(loader, last)
    return function(...)
      local fn, why = loader(...)
      if fn and select("#", ...) < last then setfenv(fn, current) end
      return fn, why
    end
  end

  overrides.load, overrides.loadstring = in_task(load, 4), in_task(loadstring, 4)
  overrides.loadfile = in_task(loadfile, 3)

else
  function overrides.load(code, name, mode, ...)
    if select("#", ...) == 0 then return load(code, name, mode, current) end
    return load(code, name, mode, ...)
  end

  function overrides.loadfile(filename, mode, ...)
    if select("#", ...) == 0 then return loadfile(filename, mode, current) end
    return loadfile(filename, mode, ...)
  end
end

function overrides.dofile(filename)
  local fn, why = overrides.loadfile(filename)
  if not fn then error(why, 0) end
  return fn()
end

return {
  new = new, current = get_current, enter = enter,
  is_environment = is_environment, overrides = overrides,
}
