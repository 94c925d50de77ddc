-- Compiles, starts, resumes and finishes the tasks of one Lua state. Python holds no
-- other Lua object than the functions returned at the end, and calls one of
-- them once per step. Of Python's, only limits.lua and ngx.lua hold a function.

-- `limits` is nil in a pool that has none; HAVE_OWN_GLOBALS is whether each task has.
local read, write, encoding, environments, functions, coroutines, host, limits, values,
  HAVE_OWN_GLOBALS, AS_TEXT, OURS = ...

local _G, error, load = _G, error, load
local next, pcall = next, pcall
local rawequal, rawget, select, setfenv = rawequal, rawget, select, setfenv
local tonumber, tostring, type = tonumber, tostring, type
local create, status, yield = coroutine.create, coroutine.status, coroutine.yield
local getinfo, getmetatable, traceback = debug.getinfo, debug.getmetatable, debug.traceback
local collectgarbage, unpack = collectgarbage, table.unpack or unpack
local gsub, match, sub = string.gsub, string.match, string.sub
local loaded = package.loaded
local new_environment, environment_of, enter = environments.new, environments.current,
  environments.enter
local describe_function, build_function = functions.describe, functions.build
local encode, encode_binary, is_plain = encoding.encode, encoding.encode_binary,
  encoding.is_plain
local REQUEST, CANNOT_PAUSE = coroutines.REQUEST, coroutines.CANNOT_PAUSE
local close_lost_requests = coroutines.close_lost_requests
local plain_resume, resume, close_coroutine = coroutines.resume, coroutines.resume,
  coroutines.close
local list, null = values.list, values.null

-- How a step ended, where it did not end as most do, which one plain value tells by
-- itself: a first step, that the task has returned it, and a later one, that it has
-- yielded it again. Else with one of the kinds of encode.lua, or with one of these.
-- _state.py knows them by these numbers.
local REFUSED, FAILED, UNCOMPILED, REFUSED_ARGUMENT = encoding.REFUSED, 7, 8, 9
local YIELDED, CALLED, BATCHED, LIMITED, REQUESTED = 10, 11, 12, 13, 14

local MAX_ARGUMENTS = 7000 -- Lua 5.1 and LuaJIT have room for 8000 values on the stack
local NO_YIELD = "attempt to yield from outside a coroutine" -- Lua's own words
local NO_CALL = "host functions can be called by tasks only"
local NO_REQUEST = "API disabled in the context of init_by_lua*" -- OpenResty's own words
local MAX_LEVELS = 100 -- how far up the stack the place of an error is sought

if limits then resume, close_coroutine = limits.limited(resume), limits.limited(close_coroutine) end


--------------------------------------------------------------------------- chunks

-- Lua 5.1 has no mode to refuse bytecode with; Chunk has refused it already.
local load_text = setfenv and not jit and loadstring or function(source, name)
  return load(source, name, "t")
end

-- By slot: a function that makes the chunk's function, anew for each task, with
-- the task's environment. One closure shared by all tasks could not have the
-- environments of two that are paused at once. Where tasks have no environments of
-- their own, it is the chunk's function itself.
local factories = {}

local HEAD = setfenv and "return function(...) " or "local _ENV = ... return function(...) "

local function keep_factory(slot, factory)
  factories[slot] = HAVE_OWN_GLOBALS and factory or factory(_G)
end

local function uncompiled(why, name)
  local chunk = getinfo(load_text("", name), "S").short_src
  local line
  if sub(why, 1, #chunk) == chunk then line = match(why, "^:(%d+):", #chunk + 1) end
  return UNCOMPILED, why, chunk, tonumber(line)
end

-- Returns nothing, or why the chunk does not compile.
local function compile(slot, source, name)
  local why_not = limits and limits.why_not_compiled(source)
  if why_not then return UNCOMPILED, why_not, getinfo(load_text("", name), "S").short_src, nil end
  -- First by itself: a chunk such as "end (function()" must not get by.
  local fn, why = load_text(source, name)
  if fn then fn, why = load_text(HEAD .. source .. "\nend", name) end
  if not fn then return uncompiled(why, name) end
  if limits then limits.interpreted(fn) end
  keep_factory(slot, fn)
end


---------------------------------------------------------------------------- places

-- The coroutines that wait to be resumed, and the globals of their tasks, by a place:
-- the least that Python needs to know of one. A place is given anew once its task
-- has ended.
local waiting, globals = {}, {}
local free_places, free_count, last_place = {}, 0, 0


-------------------------------------------------------------------------- outcomes

-- The text of an error value, in the words of the `lua` command.
local function describe(err)
  local kind = type(err)
  if kind == "string" then
    -- A C function that was called last of all is reported at its caller: at us.
    local text, ours = gsub(err, sub(OURS, 2) .. ":%d+: ", "")
    if match(text, "attempt to yield across [%w%-/ ]+$") then text = text .. CANNOT_PAUSE end
    return text, ours > 0 and limits ~= nil
  end
  if kind == "number" then return err .. "" end
  local mt = getmetatable(err)
  if type(mt) == "table" and rawget(mt, "__tostring") then
    -- It is the task's code.
    local co = create(function() return tostring(err) end)
    local ok, text = resume(co)
    if ok and type(text) == "string" and status(co) == "dead" then return text end
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

-- Returns a traceback without our functions above, below and in it.
local function without_ours(trace)
  return trace and (gsub(trace, "\n\t" .. sub(OURS, 2) .. "[^\n]*", ""))
end

-- The traceback of the user's code.
--
-- LuaJIT no longer knows in which line a coroutine died of an error that its VM
-- raised, such as an index of nil; but the message does.
local function traceback_of(co, chunk, line)
  local trace = without_ours(traceback(co))
  local head = "stack traceback:\n\t"
  local lost = chunk and head .. chunk .. ": "
  if lost and sub(trace, 1, #lost) == lost then
    trace = head .. chunk .. ":" .. line .. ": " .. sub(trace, #lost + 1)
  end
  return trace
end

local function where(co)
  local chunk, line = locate(co, "")
  return chunk, line, traceback(co)
end

local function failure(co, err)
  if limits then
    local reason, chunk, line, trace = limits.reason_for(err)
    if reason and not chunk then
      local ok, a, b, c = pcall(where, co) -- There may be no memory for it.
      if ok then chunk, line, trace = a, b, c end
    end
    if reason then
      pcall(close_lost_requests, waiting)
      enter(_G) -- What the task has among its globals is garbage now.
      return LIMITED, reason, chunk, line, without_ours(trace)
    end
  end
  local message, was_ours = describe(err)
  local chunk, line = locate(co, message)
  -- A function of ours has called one of C, as the task would have called it itself.
  if was_ours and line then message = chunk .. ":" .. line .. ": " .. message end
  if type(err) == "string" then err = message end
  local packed = write("error", AS_TEXT, 1, err)
  return FAILED, message, chunk, line, traceback_of(co, chunk, line), packed, host.numbers[err]
end

-- A coroutine that has finished its task waits for the next one: to make one for
-- each would cost more time, and leave more garbage, than all else in a step.
local spare
local FINISHED = {}

local function run_all(task, ...)
  return run_all(yield(FINISHED, task(...)))
end

local function keep(co)
  local place = free_places[free_count]
  if place then
    free_count = free_count - 1
  else
    last_place = last_place + 1
    place = last_place
  end
  waiting[place], globals[place] = co, environment_of()
  return place
end

local function forget(place)
  waiting[place], globals[place] = nil, nil
  free_count = free_count + 1
  free_places[free_count] = place
end

local function requested(place, name, ...)
  return REQUESTED, place, name, encode_binary("argument", ...)
end

local function called(place, _, name, ...)
  if not name then return requested(place, ...) end
  if host.is_table((...)) then
    return CALLED, place, name, REFUSED, "it is called with a dot, and not with a colon"
  end
  return CALLED, place, name, encode("argument", ...)
end

-- A coroutine that has failed keeps its to-be-closed variables until it is closed. One
-- that was ended keeps them for good: what a hook has left, no hook can reach.
local function closed(co, outcome, ...)
  if outcome ~= LIMITED then close_coroutine(co) end
  return outcome, ...
end

-- Ends a step of the task with this coroutine, which has a place if it has paused before.
local function finish(place, co, ok, ...)
  local mark, value = ...
  if rawequal(mark, FINISHED) then
    if place then forget(place) end
    spare = co
    if not place and select("#", ...) <= 2 and is_plain(value) then return value end
    return encode("result", select(2, ...))
  end
  if not ok then
    if place then forget(place) end
    return closed(co, failure(co, mark))
  end
  if rawequal(mark, REQUEST) then return called(place or keep(co), ...) end
  if place and select("#", ...) == 1 and is_plain(mark) then return mark end
  return YIELDED, place or keep(co), encode("yielded value", ...)
end


----------------------------------------------------------------------------- steps

-- Returns the function of a chunk for a new task, with new globals.
local function new_task(slot)
  if not HAVE_OWN_GLOBALS then return factories[slot] end
  local environment = new_environment()
  local factory = factories[slot]
  return setfenv and setfenv(factory(environment), environment) or factory(environment)
end

-- Resumes the task in a place.
local function go_on(place, ...)
  local co = waiting[place]
  enter(globals[place])
  return finish(place, co, resume(co, ...))
end

-- Starts a task with the chunk in the slot `key`, or resumes the one in the place -key.
local function step(key, ...)
  if key < 0 then return go_on(-key, ...) end
  local task = new_task(key)
  local co = spare or create(run_all)
  spare = nil -- Until it has finished: what fails or pauses is of no more use.
  return finish(nil, co, resume(co, task, ...))
end

-- Ends a task that there is no memory to resume with its arguments, or to start.
local function failed_to_read(key, reason)
  if key < 0 then
    local co = waiting[-key]
    forget(-key)
    close_coroutine(co)
  end
  return LIMITED, reason, nil, nil, nil
end

local function step_packed(key, packed, checked)
  local items, count = read(packed, checked)
  if not items then
    local reason = limits and limits.why_failed(count)
    if reason then return failed_to_read(key, reason) end
    return REFUSED_ARGUMENT, count
  end
  if count > MAX_ARGUMENTS then return REFUSED_ARGUMENT, "too many" end
  return step(key, unpack(items, 1, count))
end

-- Resumes a task whose host function has raised an exception.
local function throw(place, number, kind, message)
  return go_on(place, false, host.new_error(number, kind, message))
end

-- Ends a task for good, if it waits. Returns whether it did, and what went wrong at
-- that, or nil.
local function close_task(place)
  local co = waiting[place]
  if not co then return false, nil end
  enter(globals[place])
  forget(place)
  local ok, why = close_coroutine(co)
  if ok then return true, nil end
  if limits and limits.reason_for(why) then return true, "it has not ended in time" end
  return true, (describe(why))
end


---------------------------------------------------------------------------- batches

-- A batch is a list of items, for each of which a task runs, one after the other in
-- one step, until one does not finish.

local items, item_count, item_number, items_slot
local results, result_count -- of the tasks that have finished since Python last asked
local several -- the numbers of those results that are lists of several values
local stopped -- how the task ended that did not finish

local function gather(co, ok, ...)
  if not ok or not rawequal((...), FINISHED) then
    stopped = { n = select("#", ...), co, ok, ... }
    return false
  end
  spare = co
  result_count = result_count + 1
  local count = select("#", ...) - 1
  local _, value = ...
  if count > 1 then
    value = { select(2, ...) }
    for i = 1, count do
      if value[i] == nil then value[i] = null end
    end
    several[#several + 1] = result_count
  elseif value == nil then
    value = null
  end
  results[result_count] = value
  return true
end

-- Goes on with the batch. Returns the number of tasks that have finished now, whether
-- one did not, and the results.
local function batch_on()
  results, result_count, several, stopped = list(), 0, list(), nil
  while item_number < item_count do
    item_number = item_number + 1
    local item = items[item_number]
    if rawequal(item, null) then item = nil end
    local task = new_task(items_slot)
    local co = spare or create(run_all)
    spare = nil
    if not gather(co, resume(co, task, item)) then break end
  end
  if item_number == item_count then items = nil end
  return BATCHED, result_count, stopped ~= nil, encode("result", results, several)
end

local function batch(slot, packed, checked)
  local arguments, why = read(packed, checked)
  if not arguments then
    local reason = limits and limits.why_failed(why)
    if reason then return LIMITED, reason, nil, nil, nil end
    return REFUSED_ARGUMENT, why
  end
  items, items_slot = arguments[1], slot
  item_number, item_count = 0, #items
  return batch_on()
end

-- One of the results, where they cannot all be passed.
local function batch_result(i)
  local value = results[i]
  for _, number in next, several do
    if number == i then return encode("result", unpack(value)) end
  end
  if rawequal(value, null) then return encode("result") end
  return encode("result", value)
end

-- The end of the step of the task that did not finish.
local function batch_stopped()
  local how = stopped
  stopped = nil
  return finish(nil, how[1], how[2], unpack(how, 3, how.n + 2))
end

local function forget_batch()
  items, results, several, stopped = nil, nil, nil, nil
end


------------------------------------------------------------------ beside the tasks

local function unpausable(co, mark, name)
  if not rawequal(mark, REQUEST) then return failure(co, NO_YIELD) end
  return failure(co, name and NO_CALL or NO_REQUEST)
end

-- Runs a task that returns a function, and describes the function.
local function export(slot)
  local co = create(run_all)
  local ok, mark, fn, other = resume(co, new_task(slot))
  if not ok then return failure(co, mark) end
  if not rawequal(mark, FINISHED) then return unpausable(co, mark, fn) end
  if other ~= nil then return REFUSED, "result 2: one function expected" end
  local packed, why = describe_function(fn)
  if not packed then return REFUSED, "result 1: " .. why end
  packed, why = write("function", false, 1, packed)
  if packed == true then return encoding.SLICED, true end
  if packed then return encoding.PACKED, packed end
  return REFUSED, why
end

-- Makes a function of another state a chunk of this one: each task gets its own copy.
local function import(slot, packed)
  local description = read(packed, true)[1]
  keep_factory(slot, function(environment)
    return function(...) return build_function(description, environment)(...) end
  end)
end

-- Runs code in the state's own globals, where every task sees what it leaves.
local function init(source, name)
  local fn, why = load_text(source, name)
  if not fn then return uncompiled(why, name) end
  if limits then limits.interpreted(fn) end
  local co = create(run_all)
  environments.phase = "init"
  local ok, mark, name_of_request = plain_resume(co, fn)
  environments.phase = "timer"
  if not ok then return failure(co, mark) end
  if not rawequal(mark, FINISHED) then return unpausable(co, mark, name_of_request) end
end

-- Makes a function of ours a chunk.
local function enlist(slot, fn)
  keep_factory(slot, function()
    return function(...) return fn(...) end
  end)
end

-- Keeps a coroutine that runs `fn`, beside the task that runs now and with its globals, and
-- returns its place. If there is a coroutine whose request `fn` will pass on first of all,
-- it is closed with this one.
local function adopt(fn, requesting)
  local co = create(function() return run_all(fn) end)
  if requesting then coroutines.hold(co, requesting) end
  return keep(co)
end

-- Frees all that the state holds while Python runs on: what is left for
-- lua_close, which runs with the interpreter locked, is next to nothing.
local function close()
  for place in next, waiting do close_task(place) end
  factories, spare, items, results, stopped = {}, nil, nil, nil, nil
  environments.forget()
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

  local function collected(call)
    return function(...)
      collectgarbage("restart")
      return stop(pcall(call, ...))
    end
  end

  step, go_on, step_packed = collected(step), collected(go_on), collected(step_packed)
  throw, close_task = collected(throw), collected(close_task)
  batch, batch_on = collected(batch), collected(batch_on)
  export, init = collected(export), collected(init)
  collectgarbage("stop")
end

return compile, step, go_on, step_packed, throw, close_task,
  batch, batch_on, batch_result, batch_stopped, forget_batch,
  encoding.fetch, host.define, export, import, init, close,
  { enlist = enlist, adopt = adopt, disown = forget, locate = locate }
