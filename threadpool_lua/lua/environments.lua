-- The globals of tasks. Where each task has its own, it finds among them functions
-- that are everybody's, and its own copies of the libraries, which are made when it
-- first uses them: so nothing that it does to a library is seen by another task.
-- globals.lua or sandbox.lua say what there is.

-- Whether each task has its own, or all have the state's.
local ONE_FOR_EACH = ...

local _G, next, rawequal, rawget, rawset = _G, next, rawequal, rawget, rawset
local setmetatable, type, unpack = setmetatable, type, table.unpack or unpack
local getmetatable, loaded = debug.getmetatable, package.loaded
local concat, format = table.concat, string.format
local load_text = loadstring or load

local MOST_UPVALUES = 60 -- of a function of Lua 5.1

-- The globals of the task that runs now: code that a task loads belongs to it.
local current = _G

-- Functions that every task finds among its globals, and what makes its own copy of a
-- library, by name.
local functions, copiers = {}, {}

local environment_mt = { __index = functions, __metatable = false }

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

-- Makes the globals of a task that goes on the current ones.
local function enter(environment)
  current = environment
end

local function is_environment(value)
  if rawequal(value, _G) then return true end
  return type(value) == "table" and rawequal(getmetatable(value), environment_mt)
end

local function copy(library)
  local result = {}
  for name, value in next, library do result[name] = value end
  return result
end

-- Returns a function that copies a table, several times as fast as a loop does.
local function fast_copier(library)
  local names, fields, values, count = {}, {}, {}, 0
  for name, value in next, library do
    if type(name) ~= "string" or count == MOST_UPVALUES then
      return function() return copy(library) end
    end
    count = count + 1
    names[count], values[count] = "v" .. count, value
    fields[count] = format("[%q]=v%d", name, count)
  end
  local code = format("local %s = ... return function() return {%s} end",
    count > 0 and concat(names, ",") or "_", concat(fields, ","))
  return load_text(code)(unpack(values, 1, count))
end

-- Returns a copy of a value, with all the tables in it.
local function deep_copy(value, copies)
  if type(value) ~= "table" then return value end
  if copies[value] then return copies[value] end
  local result = {}
  copies[value] = result
  for key, item in next, value do
    rawset(result, deep_copy(key, copies), deep_copy(item, copies))
  end
  return setmetatable(result, (deep_copy(getmetatable(value), copies)))
end

-- Returns the copier of a library, which becomes a fast one when it is used.
local function copier(name, library)
  return function()
    local make = fast_copier(library)
    if copiers[name] then copiers[name] = make end
    return make()
  end
end

-- Returns a library as the current task has it, or nil.
local function library(name)
  if not ONE_FOR_EACH then return loaded[name] end
  if name == "_G" then return current end
  local own = rawget(current, name)
  if own ~= nil then return own end
  local make = copiers[name]
  if not make then return nil end
  own = make()
  rawset(current, name, own)
  return own
end

-- The name of the library that a table is, or that the current task has as its own.
local function library_name(t)
  for name, module in next, loaded do
    if rawequal(module, t) or copiers[name] and rawequal(rawget(current, name), t) then
      return name
    end
  end
end

-- Called when `functions` and `copiers` are complete.
local function seal(rest)
  setmetatable(functions, {
    __index = function(_, name)
      local own = library(name)
      if own ~= nil or not rest then return own end
      return rest[name]
    end,
  })
  getmetatable("").__metatable = false
end

-- Lets go of all that tasks could see.
local function forget()
  current = nil
  for _, holder in next, { functions, copiers } do
    for name in next, holder do holder[name] = nil end
  end
end

return {
  new = ONE_FOR_EACH and new or get_current, current = get_current, enter = enter,
  is_environment = is_environment, functions = functions, copiers = copiers,
  copier = copier, deep_copy = deep_copy, seal = seal,
  library = library, library_name = library_name,
  forget = forget,
  phase = "timer", -- what runs, in OpenResty's words: tasks, or "init"
}
