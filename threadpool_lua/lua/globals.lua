-- What tasks find among their globals that are no sandbox: everything. Behind that
-- are the state's own globals, where `init` and modules put theirs.

local environments, new_host, new_ngx = ...

local _G, error, next, rawequal, rawget, rawset = _G, error, next, rawequal, rawget, rawset
local require, select, setmetatable, type = require, select, setmetatable, type
local package, loaded = package, package.loaded
local getfenv, setfenv = getfenv, setfenv
local functions, copiers = environments.functions, environments.copiers
local current, library = environments.current, environments.library

local LIBRARIES = {
  "string", "table", "math", "io", "os", "coroutine", "debug", "utf8", "bit", "bit32", "jit",
  "ffi", "jit.opt", "jit.util", "string.buffer",
}

-- The modules that are loaded are everybody's; the libraries among them are copies.
local loaded_mt = {
  __index = function(_, name)
    local own = library(name)
    if own ~= nil and (copiers[name] or name == "_G") then return own end
    return loaded[name]
  end,
  __newindex = function(t, name, value)
    if copiers[name] or name == "_G" then rawset(t, name, value) else loaded[name] = value end
  end,
  __metatable = false,
}

local package_mt = {
  __index = package,
  __newindex = function(t, name, value)
    if name == "path" or name == "cpath" then
      error("package." .. name .. " is the same for all tasks: set package_" .. name
        .. " of the thread pool, or change it in init", 2)
    end
    rawset(t, name, value)
  end,
  __metatable = false,
}

function copiers.package()
  return setmetatable({ loaded = setmetatable({}, loaded_mt) }, package_mt)
end

copiers.host, copiers.ngx = new_host, new_ngx

function functions.require(name)
  if copiers[name] or name == "_G" then return library(name) end
  return require(name)
end

if setfenv then
  function functions.getfenv(f)
    if f == 0 then return current() end
    if f == nil then f = 1 end
    local environment = getfenv(type(f) == "number" and f + 1 or f)
    return rawequal(environment, _G) and current() or environment
  end

  function functions.setfenv(f, environment)
    if f == 0 then error("the globals of a task cannot be replaced", 2) end
    return setfenv(type(f) == "number" and f + 1 or f, environment)
  end
end

-- An environment of the caller's own is the argument number `last`.
local function in_task(load, last)
  return load and function(...)
    local fn, why = load(...)
    if fn and select("#", ...) < last then setfenv(fn, current()) end
    return fn, why
  end
end

local function seal_loaders()
  local load, loadfile = rawget(_G, "load"), rawget(_G, "loadfile")
  if setfenv then
    functions.load, functions.loadstring = in_task(load, 4), in_task(rawget(_G, "loadstring"), 4)
    functions.loadfile = in_task(loadfile, 3)
  else
    function functions.load(code, name, mode, ...)
      if select("#", ...) == 0 then return load(code, name, mode, current()) end
      return load(code, name, mode, ...)
    end

    function functions.loadfile(filename, mode, ...)
      if select("#", ...) == 0 then return loadfile(filename, mode, current()) end
      return loadfile(filename, mode, ...)
    end
  end

  function functions.dofile(filename)
    local fn, why = functions.loadfile(filename)
    if not fn then error(why, 0) end
    return fn()
  end
end

-- Called when `init` has run: what it has changed is what tasks find.
return function()
  seal_loaders()
  for name, value in next, _G do
    if type(value) == "function" and not functions[name] then functions[name] = value end
  end
  for _, name in next, LIBRARIES do
    local module = loaded[name] or rawget(_G, name)
    if not module and package.preload[name] then module = require(name) end
    if type(module) == "table" then copiers[name] = environments.copier(name, module) end
  end
  environments.seal(_G)
end
