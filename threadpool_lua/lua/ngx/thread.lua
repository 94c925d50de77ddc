-- ngx.thread: coroutines of a task that wait side by side.
--
-- `spawn` runs the function until it first pauses. If it does, a coroutine of ours takes
-- over: a driver, which is a task to Python, and passes on what the function asks for.

local api = ...

local coroutines, adopt, disown = api.coroutines, api.adopt, api.disown
local locate, request, try_request = api.locate, api.request, api.try_request
local upcall = api.upcall
local begin, relay = coroutines.begin, coroutines.relay
local REQUEST, CANNOT_PAUSE = coroutines.REQUEST, coroutines.CANNOT_PAUSE
local create, resume, running = coroutine.create, coroutine.resume, coroutine.running
local status, yield = coroutine.status, coroutine.yield
local error, rawequal, select, setmetatable = error, rawequal, select, setmetatable
local type, unpack = type, table.unpack or unpack
local getfenv, setfenv, getmetatable = debug.getfenv, debug.setfenv, debug.getmetatable

-- Of the light threads: who has begun them, and their numbers. A coroutine must not be
-- kept for the other, as it may refer to that.
local parents = setmetatable({}, { __mode = "kv" })
local numbers = setmetatable({}, { __mode = "k" })
local last_number = 0

-- What a light thread has returned or raised that has ended.
local outcome_mt = {}

-- Stands for the outcome of a thread that was waited for, or killed.
local GONE = setmetatable({}, outcome_mt)

-- An outcome may refer to its thread, and must go with it. Where weak tables are not made
-- for that, it is kept as the thread's environment, which has no other use.
local outcome_of, set_outcome

if setfenv then
  function outcome_of(co)
    local outcome = getfenv(co)
    return rawequal(getmetatable(outcome), outcome_mt) and outcome or nil
  end
  set_outcome = setfenv
else
  local outcomes = setmetatable({}, { __mode = "k" })
  function outcome_of(co) return outcomes[co] end
  function set_outcome(co, outcome) outcomes[co] = outcome end
end

local ERR = 4 -- the level at which it is logged that a light thread has failed

local function log(co, why)
  if api.in_sandbox or not upcall("log_enabled", ERR) then return end
  if type(why) ~= "string" and type(why) ~= "number" then why = "unknown reason" end
  local message = "lua user thread aborted: runtime error: " .. why
  local chunk, line = locate(co, why .. "")
  upcall("log", ERR, message, chunk or "?", line or 0)
end

local function settle(co, ok, ...)
  set_outcome(co, setmetatable({ n = select("#", ...) + 1, ok, ... }, outcome_mt))
  if not ok then log(co, (...)) end
end

local function drive(co, ok, ...)
  if ok and status(co) ~= "dead" then
    yield() -- What else is ready has its turn.
    return drive(co, resume(co))
  end
  settle(co, ok, ...)
end

local function begun(co, ok, ...)
  if status(co) == "dead" then
    settle(co, relay(co, ok, ...))
    return co
  end
  local first = { n = select("#", ...), ... }
  local place = adopt(function()
    return drive(co, relay(co, ok, unpack(first, 1, first.n)))
  end, rawequal((...), REQUEST) and co)
  local could_pause, why = try_request("thread.spawn", numbers[co], place)
  if could_pause then return co end
  disown(place)
  error(why .. CANNOT_PAUSE, 3)
end

local thread = {}

-- Begins a light thread that runs `f`.
function thread.spawn(f, ...)
  if type(f) ~= "function" then
    error("bad argument #1 to 'spawn' (function expected, got "
      .. (f == nil and "no value" or type(f)) .. ")", 2)
  end
  local co = create(f)
  last_number = last_number + 1
  parents[co], numbers[co] = running(), last_number
  return begun(co, begin(co, ...))
end

-- Returns why the running coroutine may not wait for `co`, or end it.
local function check(co, i)
  if type(co) ~= "thread" then
    error("bad argument #" .. i .. " to 'wait' (lua thread expected)", 3)
  end
  if not numbers[co] then
    error("attempt to wait on a coroutine that is not a user thread", 3)
  end
  if parents[co] ~= running() then
    error("only the parent coroutine can wait on the thread", 3)
  end
end

local function collect(co)
  local outcome = outcome_of(co)
  set_outcome(co, GONE)
  if rawequal(outcome, GONE) then return nil, "already waited or killed" end
  return unpack(outcome, 1, outcome.n)
end

-- Waits until one of the light threads has ended, and returns what `pcall` would.
function thread.wait(...)
  local count = select("#", ...)
  if count == 0 then error("at least one coroutine should be specified", 2) end
  local threads, waited = { ... }, {}
  for i = 1, count do
    check(threads[i], i)
    waited[i] = numbers[threads[i]]
  end
  for i = 1, count do
    if outcome_of(threads[i]) then return collect(threads[i]) end
  end
  local number = request("thread.wait", unpack(waited, 1, count))
  for i = 1, count do
    if waited[i] == number then return collect(threads[i]) end
  end
end

-- Ends a light thread. Returns 1, or nil and why not.
function thread.kill(co)
  if type(co) ~= "thread" then error("bad argument #1 to 'kill' (lua thread expected)", 2) end
  if not numbers[co] then return nil, "not user thread" end
  if parents[co] ~= running() then return nil, "killer not parent" end
  local outcome = outcome_of(co)
  if rawequal(outcome, GONE) then return nil, "already waited or killed" end
  if outcome then return nil, "already terminated" end
  request("thread.kill", numbers[co])
  set_outcome(co, GONE) -- It may have come to its end meanwhile.
  return 1
end

return { thread = thread }
