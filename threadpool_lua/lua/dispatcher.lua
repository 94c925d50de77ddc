-- Compiles, starts and finishes the tasks of one Lua state. Python holds no
-- other Lua object than the functions returned at the end, and calls one of
-- them once per step; Lua holds no Python object at all.

local values, package_path, package_cpath = ...

local _G, error, getmetatable, load, loadfile = _G, error, getmetatable, load, loadfile
local next, pcall, rawequal, rawget = next, pcall, rawequal, rawget
local select, setfenv = select, setfenv
local setmetatable, tonumber, tostring, type = setmetatable, tonumber, tostring, type
local create, resume, yield = coroutine.create, coroutine.resume, coroutine.yield
local getinfo, getregistry, traceback = debug.getinfo, debug.getregistry, debug.traceback
local collectgarbage, unpack = collectgarbage, table.unpack or unpack
local match, sub = string.match, string.sub
local read, write = values.read, values.write

-- How a step ended, where it did not end with nothing or with one plain value.
-- _state.py knows them by these numbers.
local PACKED, LARGE, FAILED, UNCOMPILED = 1, 2, 3, 4
local REFUSED_ARGUMENT, REFUSED_RESULT = 5, 6

local LARGE_STRING = 2 ^ 18 -- bytes; longer ones take Python long enough to be fetched one by one
local MAX_INTEGER = 2 ^ 53
local MAX_ARGUMENTS = 7000 -- Lua 5.1 and LuaJIT have room for 8000 values on the stack
local NO_YIELD = "attempt to yield from outside a coroutine" -- Lua's own words
local MAX_LEVELS = 100 -- how far up the stack the place of an error is sought
local OURS = "^threadpool_lua/[%w_]+%.lua" -- how the names of our own chunks begin


----------------------------------------------------------------------- libraries

-- No road into Python: lupa's library goes, and what lupa keeps of Python's
-- objects where `debug` would find it.
local loaded = package.loaded
_G.python = nil
loaded.python = nil
local registry = getregistry()
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

-- Lua 5.1 has no mode to refuse bytecode with; Chunk has refused it already.
local load_text = setfenv and not jit and loadstring or function(source, name)
  return load(source, name, "t")
end


--------------------------------------------------------------------- environments

-- Every task has its own table of globals. What it does not hold is looked up
-- in `base`, and behind that in the state's _G, where `init` and modules put theirs.
local base = setmetatable({ null = values.null }, { __index = _G })
local environment_mt = { __index = base }

-- The environment of the task that runs now: code that a task loads belongs to it.
local current

if setfenv then
  -- An environment of the caller's own is the argument number `last`.
  local function in_task(loader, last)
    return function(...)
      local fn, why = loader(...)
      if fn and select("#", ...) < last then setfenv(fn, current) end
      return fn, why
    end
  end

  base.load, base.loadstring = in_task(load, 4), in_task(loadstring, 4)
  base.loadfile = in_task(loadfile, 3)

else
  function base.load(code, name, mode, ...)
    if select("#", ...) == 0 then return load(code, name, mode, current) end
    return load(code, name, mode, ...)
  end

  function base.loadfile(filename, mode, ...)
    if select("#", ...) == 0 then return loadfile(filename, mode, current) end
    return loadfile(filename, mode, ...)
  end
end

function base.dofile(filename)
  local fn, why = base.loadfile(filename)
  if not fn then error(why, 0) end
  return fn()
end


--------------------------------------------------------------------------- chunks

-- By slot: a function that makes the chunk's function, anew for each task, with
-- the task's environment. One closure shared by all tasks could not have the
-- environments of two that are paused at once.
local factories = {}

local HEAD = setfenv and "return function(...) " or "local _ENV = ... return function(...) "

local function uncompiled(why, name)
  local chunk = getinfo(load_text("", name), "S").short_src
  local line
  if sub(why, 1, #chunk) == chunk then line = match(why, "^:(%d+):", #chunk + 1) end
  return UNCOMPILED, why, chunk, tonumber(line)
end

-- Returns nothing, or why the chunk does not compile.
local function compile(slot, source, name)
  -- First by itself: a chunk such as "end (function()" must not get by.
  local fn, why = load_text(source, name)
  if fn then fn, why = load_text(HEAD .. source .. "\nend", name) end
  if not fn then return uncompiled(why, name) end
  factories[slot] = fn
end


-------------------------------------------------------------------------- outcomes

-- The text of an error value, in the words of the `lua` command.
local function describe(err)
  local kind = type(err)
  if kind == "string" then
    -- A C function that was called last of all is reported at its caller: at us.
    return match(err, OURS .. ":%d+: (.*)$") or err
  end
  if kind == "number" then return tostring(err) end
  local mt = getmetatable(err)
  if type(mt) == "table" and rawget(mt, "__tostring") then
    local ok, text = pcall(tostring, err)
    if ok and type(text) == "string" then return text end
  end
  return "(error object is a " .. kind .. " value)"
end

-- The place that the message names, if its chunk is on the stack, or else the
-- innermost line of Lua code. Our own code is never to blame.
local function locate(co, message)
  local chunk, line
  for level = 0, MAX_LEVELS do
    local info = getinfo(co, level, "Sl")
    if not info then break end
    local name = info.short_src
    if not match(name, OURS) then
      if sub(message, 1, #name) == name then
        local named = match(message, "^:(%d+):", #name + 1)
        if named then return name, tonumber(named) end
      end
      if not line and info.currentline > 0 then chunk, line = name, info.currentline end
    end
  end
  return chunk, line
end

-- The traceback of the user's code: below it is the function that runs all tasks.
--
-- LuaJIT no longer knows in which line a coroutine died of an error that its VM
-- raised, such as an index of nil; but the message does.
local function traceback_of(co, chunk, line)
  local trace = traceback(co)
  trace = match(trace, "^(.*)\n\t" .. sub(OURS, 2)) or trace
  local head = "stack traceback:\n\t"
  local lost = chunk and head .. chunk .. ": "
  if lost and sub(trace, 1, #lost) == lost then
    trace = head .. chunk .. ":" .. line .. ": " .. sub(trace, #lost + 1)
  end
  return trace
end

local function failure(co, err)
  local message = describe(err)
  local chunk, line = locate(co, message)
  if type(err) == "string" then err = message end
  return FAILED, message, chunk, line, traceback_of(co, chunk, line), (write("error", err))
end

-- A large result, until Python fetches it.
local kept

local function fetch()
  local value = kept
  kept = nil
  return value
end

local function is_plain(value)
  local kind = type(value)
  if kind == "string" then return #value < LARGE_STRING end
  if kind == "number" then
    -- lupa would turn -0.0 and large doubles into integers.
    return value > -MAX_INTEGER and value < MAX_INTEGER and (value ~= 0 or 1 / value > 0)
  end
  return kind == "boolean" or kind == "nil"
end

-- A coroutine that has finished its task waits for the next one: to make one for
-- each would cost more time, and leave more garbage, than all else in a step.
local spare
local FINISHED = {}

local function run_all(task, ...)
  return run_all(yield(FINISHED, task(...)))
end

local function finish(co, ok, mark, ...)
  if not ok then return failure(co, mark) end
  if not rawequal(mark, FINISHED) then return failure(co, NO_YIELD) end
  spare = co
  local count = select("#", ...)
  if count == 0 or (count == 1 and is_plain((...))) then return ... end
  if count == 1 and type((...)) == "string" then
    kept = ...
    return LARGE, false
  end
  local packed, why = write("result", ...)
  if not packed then return REFUSED_RESULT, why end
  if #packed < LARGE_STRING then return PACKED, packed end
  kept = packed
  return LARGE, true
end


----------------------------------------------------------------------------- steps

local function start(slot, ...)
  local environment = { _G = false }
  environment._G = environment
  setmetatable(environment, environment_mt)
  current = environment
  local factory = factories[slot]
  local task = setfenv and setfenv(factory(), environment) or factory(environment)
  local co = spare or create(run_all)
  spare = nil -- Until it has finished: what fails or yields is of no more use.
  return finish(co, resume(co, task, ...))
end

local function start_packed(slot, packed, checked)
  local ok, list, count = pcall(read, packed, checked)
  if not ok then return REFUSED_ARGUMENT, tostring(list) end
  if count > MAX_ARGUMENTS then return REFUSED_ARGUMENT, "too many" end
  return start(slot, unpack(list, 1, count))
end

-- Runs code in the state's own globals, where every task sees what it leaves.
local function init(source, name)
  local fn, why = load_text(source, name)
  if not fn then return uncompiled(why, name) end
  local co = create(run_all)
  local ok, mark = resume(co, fn)
  if not ok then return failure(co, mark) end
  if not rawequal(mark, FINISHED) then return failure(co, NO_YIELD) end
end

-- Frees all that the state holds while Python runs on: what is left for
-- lua_close, which runs with the interpreter locked, is next to nothing.
local function close()
  factories, current, base, spare = {}, nil, nil, nil
  for _, holder in next, { loaded, _G } do
    for name in next, holder do
      if name ~= "_G" then holder[name] = nil end
    end
  end
  pcall(collectgarbage)
  pcall(collectgarbage)
end

return compile, start, start_packed, fetch, init, close
