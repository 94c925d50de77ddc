-- What tasks find among their globals in a sandbox: no files, no processes, no native
-- code, and nothing that another task would notice if it were changed.

-- `modules` names those that may be required, a line each, beside those of ngx;
-- `load_text` is load, but for bytecode.
local environments, new_host, new_ngx, ngx_modules, modules, load_text = ...

local _G, collectgarbage, error, next, rawget = _G, collectgarbage, error, next, rawget
local require, select, setfenv, setmetatable = require, select, setfenv, setmetatable
local tostring, type = tostring, type
local open, string = io.open, string
local find, gmatch, gsub = string.find, string.gmatch, string.gsub
local loaded, package = package.loaded, package
local functions, copiers = environments.functions, environments.copiers
local copier, deep_copy = environments.copier, environments.deep_copy
local current, library = environments.current, environments.library

local FUNCTIONS = {
  "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget",
  "rawlen", "rawset", "select", "setmetatable", "tonumber", "tostring", "type", "unpack",
  "xpcall", "list",
}

-- Of these libraries all but what is named here; of `os` only the functions below.
local LIBRARIES = {
  string = { dump = true }, table = {}, utf8 = {}, bit = {}, bit32 = {}, coroutine = {},
  math = {}, os = {},
}
local OS = { clock = true, date = true, difftime = true, time = true }

local before_init = {}
for name in next, _G do before_init[name] = true end


---------------------------------------------------------------------------- loading

-- Loads text whose globals are those of `environment`.
local function load_in(environment, code, name)
  if not setfenv then return load_text(code, name, "t", environment) end
  local fn, why = load_text(code, name)
  return fn and setfenv(fn, environment), why
end

local function load(code, name, mode, ...)
  if type(mode) == "string" and not find(mode, "t", 1, true) then
    return nil, "attempt to load a text chunk (mode is '" .. mode .. "')"
  end
  return load_in(select("#", ...) > 0 and (...) or current(), code, name)
end

functions.load = load
if setfenv then functions.loadstring = load end

-- The only thing that `collectgarbage` does for a task.
function functions.collectgarbage(what)
  if what ~= "count" then
    error("collectgarbage(" .. tostring(what) .. ") is not available in a sandbox", 2)
  end
  return (collectgarbage("count"))
end


---------------------------------------------------------------------------- modules

local allowed = {}
for name in next, ngx_modules do allowed[name] = true end
for name in gmatch(modules, "[^\n]+") do allowed[name] = true end

local function read_module(name)
  local path = gsub(name, "%.", "/")
  for template in gmatch(package.path, "[^;]+") do
    local filename = gsub(template, "%?", function() return path end)
    local file = open(filename, "rb")
    if file then
      local text = file:read("*a")
      file:close()
      return { name = "@" .. filename, text = gsub(text, "^#[^\n]*", "") }
    end
  end
end

-- The Lua modules that have been read, by name.
local texts = {}

-- By the globals of a task: the modules that it has loaded, by name.
local loaded_by = setmetatable({}, { __mode = "k" })

-- Stands for a module that is being loaded.
local LOADING = {}

-- Runs a Lua module anew for the task, in its sandbox. Of any other module the task
-- gets a copy of the table.
local function load_module(name, environment)
  local source = not package.preload[name] and (texts[name] or read_module(name))
  if not source then
    return deep_copy(require(name), {})
  end
  texts[name] = source
  local fn, why = load_in(environment, source.text, source.name)
  if not fn then error("error loading module '" .. name .. "': " .. why, 0) end
  local module = fn(name, source.name)
  if module == nil then return true end
  return module
end

function functions.require(name)
  if name == "_G" or copiers[name] then return library(name) end
  if not allowed[name] then
    error("module '" .. tostring(name) .. "' is not among those that this sandbox allows", 2)
  end
  local environment = current()
  local own = loaded_by[environment]
  if not own then
    own = {}
    loaded_by[environment] = own
  end
  if own[name] == LOADING then error("loop or error in loading module '" .. name .. "'", 2) end
  if own[name] == nil then
    own[name] = LOADING
    own[name] = load_module(name, environment)
  end
  return own[name]
end

-- Called when `init` has run: what it has added is there, too.
return function()
  for _, name in next, FUNCTIONS do functions[name] = rawget(_G, name) end
  functions._VERSION, functions.null = rawget(_G, "_VERSION"), rawget(_G, "null")
  for name, without in next, LIBRARIES do
    local module = loaded[name] or rawget(_G, name)
    if type(module) == "table" then
      local kept = {}
      for key, value in next, module do
        if not without[key] and (name ~= "os" or OS[key]) then kept[key] = value end
      end
      -- The tasks of a state draw from one sequence.
      if name == "math" then kept.randomseed = function() end end
      copiers[name] = copier(name, kept)
    end
  end
  copiers.host, copiers.ngx = new_host, new_ngx
  for name, value in next, _G do
    if not before_init[name] and type(value) == "table" then
      copiers[name] = function() return deep_copy(value, {}) end
    elseif not before_init[name] then
      functions[name] = value
    end
  end
  string.dump = nil -- which strings have as a method, too
  environments.seal(nil)
end
