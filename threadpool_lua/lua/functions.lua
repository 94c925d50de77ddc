-- Takes a Lua function apart, and puts it together again in another state: its
-- bytecode, its upvalues, and all that these refer to.
--
-- The parts are described by plain values, which cross as any others do. Where
-- a value is not plain, a list in the description stands for it:
--   { "table", i }, { "function", i }   a table or function among the parts
--   { "library", module }               what require returns
--   { "library", module, name }         what that has under a name
--   { "globals" }                       the globals of the task that runs it
--   { "nil" }

-- How deep upvalues and tables may nest, and how the names of our own chunks begin.
local values, environments, limits, MAX_DEPTH, OURS = ...

local concat, sort = table.concat, table.sort
local dump, find, format = string.dump, string.find, string.format
local error, next, pcall, rawset, require = error, next, pcall, rawset, require
local getfenv, setfenv, load_binary = getfenv, setfenv, loadstring or load
local getinfo, getmetatable, setmetatable = debug.getinfo, debug.getmetatable, debug.setmetatable
local getupvalue, setupvalue = debug.getupvalue, debug.setupvalue
local upvalueid, upvaluejoin = debug.upvalueid, debug.upvaluejoin -- not in Lua 5.1
local rawequal, tostring, type = rawequal, tostring, type
local loaded = package.loaded
local is_environment, functions_of_all = environments.is_environment, environments.functions
local own_library, library_name = environments.library, environments.library_name
local null, is_null, list, lists = values.null, values.is_null, values.list, values.lists
local show_key = values.show_key

-- Searched first and in this order, so that string.format has one name.
local STANDARD = {
  "_G", "string", "table", "math", "io", "os", "coroutine", "debug", "package",
  "utf8", "bit32", "bit", "jit", "ffi",
}


------------------------------------------------------------------------ taking apart

-- The description that is being made, the places in it of tables and functions
-- and of upvalues by their id, and the way to the value at hand.
local parts, numbers, upvalue_numbers, path

-- What is raised for a value that cannot pass, and why it cannot.
local REFUSAL = {}
local reason

local function refuse(depth, why)
  reason = concat(path, "", 1, depth) .. (depth > 0 and ": " or "") .. why
  error(REFUSAL)
end

-- Enters the step to a value in a value: "upvalue 'users'", "[3]".
local function step(depth, name)
  if depth == MAX_DEPTH then refuse(depth, "nested deeper than " .. MAX_DEPTH .. " levels") end
  path[depth + 1] = name
  return depth + 1
end

local function name_in(library, fn)
  if type(library) ~= "table" then return end
  for name, value in next, library do
    if rawequal(value, fn) and type(name) == "string" then return name end
  end
end

-- Returns the module and the name by which every state knows this function.
local function name_of(fn)
  local name = name_in(functions_of_all, fn)
  if name then return "_G", name end
  local modules = {}
  for module in next, loaded do modules[#modules + 1] = tostring(module) end
  sort(modules)
  for _, names in next, { STANDARD, modules } do
    for _, module in next, names do
      name = name_in(loaded[module], fn)
      if name then return module, name end
    end
  end
end

-- Whether it is a part of Lua, of a library in C, or of ours: a copy of it would
-- not work in another state, but every state has its own.
local function is_native(fn)
  local info = getinfo(fn, "S")
  return info.what == "C" or find(info.short_src, OURS) or find(info.short_src, "^%[builtin:")
end

local describe

local function describe_table(t, depth)
  local module = library_name(t)
  if module then return { "library", module } end
  local entries = {}
  local part = { entries = entries, is_list = lists[t] or false }
  parts.tables[#parts.tables + 1] = part
  numbers[t] = #parts.tables
  for key, value in next, t do
    local inner = step(depth, show_key(key))
    entries[#entries + 1] = describe(key, inner)
    entries[#entries + 1] = describe(value, inner)
  end
  local mt = getmetatable(t)
  part.metatable = describe(mt, mt and step(depth, "'s metatable"))
  return { "table", numbers[t] }
end

local function describe_function(fn, depth)
  if is_native(fn) then
    local module, name = name_of(fn)
    if not module then refuse(depth, "cannot pass a C function that is in no library") end
    return { "library", module, name }
  end
  local upvalues = {}
  local part = { code = dump(fn), upvalues = upvalues }
  parts.functions[#parts.functions + 1] = part
  numbers[fn] = #parts.functions
  for i = 1, getinfo(fn, "u").nups do
    local name, value = getupvalue(fn, i)
    -- Functions that share an upvalue go on sharing it.
    local id = upvalueid and upvalueid(fn, i) or {}
    local number = upvalue_numbers[id]
    if not number then
      number = #parts.upvalues + 1
      upvalue_numbers[id] = number
      parts.upvalues[number] = false -- its place, while it is described
      local inner = step(depth, (depth == 0 and "upvalue '" or " upvalue '") .. name .. "'")
      parts.upvalues[number] = describe(value, inner)
    end
    upvalues[i] = number
  end
  if getfenv then part.environment = describe(getfenv(fn), step(depth, "'s environment")) end
  return { "function", numbers[fn] }
end

function describe(value, depth)
  local kind = type(value)
  if kind == "string" or kind == "number" or kind == "boolean" then return value end
  if kind == "nil" then return { "nil" } end
  if is_null(value) then return null end
  if is_environment(value) then return { "globals" } end
  if numbers[value] then return { kind, numbers[value] } end
  if kind == "table" then return describe_table(value, depth) end
  if kind == "function" then return describe_function(value, depth) end
  refuse(depth, "cannot pass a " .. kind)
end

local function take_apart(fn)
  parts, numbers = { functions = {}, tables = {}, upvalues = {} }, {}
  upvalue_numbers, path = {}, {}
  if type(fn) ~= "function" then refuse(0, "not a function") end
  parts.root = describe(fn, 0)
  return parts
end

-- Returns the description of a function, or nil and what is refused:
-- "upvalue 'config'['file']: cannot pass a userdata".
local function describe_whole(fn)
  local ok, description = pcall(take_apart, fn)
  parts, numbers, upvalue_numbers, path = nil, nil, nil, nil
  if ok then return description end
  if rawequal(description, REFUSAL) then return nil, reason end
  return nil, type(description) == "string" and description or "an error"
end


-------------------------------------------------------------------- putting together

local function from_library(module, name)
  local whole = own_library(module) or (functions_of_all.require or require)(module)
  if not name then return whole end
  local value = whole[name]
  if value == nil then error(format("module '%s' has no '%s' here", module, name), 0) end
  return value
end

-- Returns a new copy of the function that is described, for the task that has
-- these globals.
local function build(description, environment)
  local tables, functions = {}, {}
  for i = 1, #description.tables do tables[i] = {} end
  for i, part in next, description.functions do
    functions[i] = load_binary(part.code, "")
    if limits then limits.interpreted(functions[i]) end
  end

  local function resolve(value)
    if type(value) ~= "table" or is_null(value) then return value end
    local kind, which = value[1], value[2]
    if kind == "table" then return tables[which] end
    if kind == "function" then return functions[which] end
    if kind == "globals" then return environment end
    if kind == "library" then return from_library(which, value[3]) end
  end

  local owners = {} -- by upvalue: the function that has it already, and as its which
  for i, part in next, description.functions do
    local fn = functions[i]
    for k, number in next, part.upvalues do
      local owner = owners[number]
      if owner and upvaluejoin then
        upvaluejoin(fn, k, owner[1], owner[2])
      else
        setupvalue(fn, k, (resolve(description.upvalues[number])))
        owners[number] = { fn, k }
      end
    end
    if setfenv then setfenv(fn, resolve(part.environment)) end
  end
  for i, part in next, description.tables do
    local t, entries = tables[i], part.entries
    for k = 1, #entries, 2 do rawset(t, resolve(entries[k]), resolve(entries[k + 1])) end
    if part.is_list then list(t) end
    setmetatable(t, (resolve(part.metatable)))
  end
  return resolve(description.root)
end

return { describe = describe_whole, build = build, load = load_binary }
