-- Compiles, starts and finishes the tasks of one Lua state. Python holds no
-- other Lua object than the functions returned at the end, and calls one of
-- them once per step; Lua holds no Python object at all.

local read, write, address, environments, functions, AS_TEXT, OURS = ...

local _G, error, getmetatable, load = _G, error, getmetatable, load
local next, pcall = next, pcall
local rawequal, rawget, select, setfenv = rawequal, rawget, select, setfenv
local tonumber, tostring, type = tonumber, tostring, type
local create, resume, yield = coroutine.create, coroutine.resume, coroutine.yield
local getinfo, traceback = debug.getinfo, debug.traceback
local collectgarbage, unpack = collectgarbage, table.unpack or unpack
local match, sub = string.match, string.sub
local loaded = package.loaded
local new_environment = environments.new
local describe_function, build_function = functions.describe, functions.build

-- How a step ended, where it did not end with nothing or with one plain value.
-- _state.py knows them by these numbers.
local PACKED, SLICED, LARGE, FAILED, UNCOMPILED = 1, 2, 3, 4, 5
local REFUSED_ARGUMENT, REFUSED_RESULT = 6, 7

local LARGE_STRING = 2 ^ 18 -- bytes; longer ones take Python long enough to be fetched one by one
local MAX_INTEGER = 2 ^ 53
local MAX_ARGUMENTS = 7000 -- Lua 5.1 and LuaJIT have room for 8000 values on the stack
local NO_YIELD = "attempt to yield from outside a coroutine" -- Lua's own words
local MAX_LEVELS = 100 -- how far up the stack the place of an error is sought


--------------------------------------------------------------------------- chunks

-- Lua 5.1 has no mode to refuse bytecode with; Chunk has refused it already.
local load_text = setfenv and not jit and loadstring or function(source, name)
  return load(source, name, "t")
end

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
  if kind == "number" then return err .. "" end
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
  local packed = write("error", AS_TEXT, 1, err)
  return FAILED, message, chunk, line, traceback_of(co, chunk, line), packed
end

-- A large string, until Python fetches it.
local kept

local function fetch(forget)
  local value = kept
  kept = nil
  if not forget then return value end
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
    return LARGE, address and address(kept), #kept
  end
  local packed, why = write("result", AS_TEXT, count, ...)
  if packed == true then return SLICED, true end
  if packed then return PACKED, packed end
  return REFUSED_RESULT, why
end


----------------------------------------------------------------------------- steps

-- Returns the function of a chunk with new globals.
local function new_task(slot)
  local environment = new_environment()
  local factory = factories[slot]
  return setfenv and setfenv(factory(environment), environment) or factory(environment)
end

local function start(slot, ...)
  local task = new_task(slot)
  local co = spare or create(run_all)
  spare = nil -- Until it has finished: what fails or yields is of no more use.
  return finish(co, resume(co, task, ...))
end

local function start_packed(slot, packed, checked)
  local list, count = read(packed, checked)
  if not list then return REFUSED_ARGUMENT, count end
  if count > MAX_ARGUMENTS then return REFUSED_ARGUMENT, "too many" end
  return start(slot, unpack(list, 1, count))
end

-- Runs a task that returns a function, and describes the function.
local function export(slot)
  local co = create(run_all)
  local ok, mark, fn, other = resume(co, new_task(slot))
  if not ok then return failure(co, mark) end
  if not rawequal(mark, FINISHED) then return failure(co, NO_YIELD) end
  if other ~= nil then return REFUSED_RESULT, "result 2: one function expected" end
  local packed, why = describe_function(fn)
  if not packed then return REFUSED_RESULT, "result 1: " .. why end
  packed, why = write("function", false, 1, packed)
  if packed == true then return SLICED, true end
  if packed then return PACKED, packed end
  return REFUSED_RESULT, why
end

-- Makes a function of another state a chunk of this one: each task gets its own copy.
local function import(slot, packed)
  local description = read(packed, true)[1]
  factories[slot] = function(environment)
    return function(...) return build_function(description, environment)(...) end
  end
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
  factories, spare = {}, nil
  new_environment() -- in the place of the last task's
  for _, holder in next, { loaded, _G } do
    for name in next, holder do
      if name ~= "_G" then holder[name] = nil end
    end
  end
  pcall(collectgarbage)
  pcall(collectgarbage)
end

-- Where a `__gc` of the user's fails, LuaJIT 2.1 and Lua 5.4 warn. The others raise
-- the error wherever the collector happens to be at work; and where that is while
-- lupa passes arguments, nothing would catch it. So there the collector works
-- while Lua runs, and only then.
local warns = jit and jit.version_num >= 20100 or warn

if not warns then
  local function stop(ok, ...)
    collectgarbage("stop")
    if not ok then error((...), 0) end
    return ...
  end

  local function collected(step)
    return function(...)
      collectgarbage("restart")
      return stop(pcall(step, ...))
    end
  end

  start, start_packed = collected(start), collected(start_packed)
  export, init = collected(export), collected(init)
  collectgarbage("stop")
end

return compile, start, start_packed, fetch, export, import, init, close
