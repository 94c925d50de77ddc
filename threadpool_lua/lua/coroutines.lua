-- The coroutines that a task makes itself. What they yield goes to who resumed
-- them; but a request to Python, such as the call of a host function, has to pause
-- the whole task. So who resumes a coroutine here passes requests on, from one to
-- the next, and the answers back.

-- How coroutines resume others, and in a pool with limits what keeps them.
local resume, limits = ...

local coroutine = coroutine
local create, plain_resume = coroutine.create, coroutine.resume
local running, status, yield = coroutine.running, coroutine.status, coroutine.yield
local close = coroutine.close -- Lua 5.4 and later
local error, next, pcall, rawequal = error, next, pcall, rawequal
local setfenv, setmetatable, type = setfenv, setmetatable, type
local gsub = string.gsub

-- The first value that a coroutine yields with a request.
local REQUEST = {}

-- What else there is to say where Lua refuses to yield.
local CANNOT_PAUSE = " (a task cannot pause inside a function of C that calls back)"

-- Lua 5.1 cannot yield across pcall, so there it cannot be tried whether Lua refuses.
local is_puc_51 = setfenv and not jit
local try = is_puc_51 and function(f, ...) return true, f(...) end or pcall

-- By coroutine: the one that it has resumed, and whose request it has passed on.
-- And these, each of which only its answer may resume.
local inner, waits = setmetatable({}, { __mode = "k" }), setmetatable({}, { __mode = "k" })

-- By coroutine: what is to be called if it ends while it makes a request, even if it is
-- garbage by then.
local closing = {}

-- How far above a function that was called last of all its caller is: Lua 5.1
-- counts the call that is gone.
local CALLER = is_puc_51 and 3 or 2

local relay

local function answered(me, co, yielded, ...)
  inner[me], waits[co] = nil, nil
  if not yielded then return relay(co, resume(co, false, (...) .. CANNOT_PAUSE)) end
  return relay(co, resume(co, ...))
end

-- Notes that one passes on the request of another.
local function hold(me, co)
  inner[me], waits[co] = co, true
end

local function pass_on(co, _, ...)
  local me = running()
  hold(me, co)
  return answered(me, co, try(yield, REQUEST, ...))
end

if limits then
  local caught = limits.caught

  function relay(co, ok, ...)
    if rawequal((...), REQUEST) then return pass_on(co, ...) end
    return caught(ok, ...)
  end
else
  function relay(co, ok, ...)
    if rawequal((...), REQUEST) then return pass_on(co, ...) end
    return ok, ...
  end
end

function coroutine.resume(co, ...)
  if type(co) ~= "thread" then
    error("bad argument #1 to 'resume' (coroutine expected)", 2)
  end
  if waits[co] then return false, "cannot resume non-suspended coroutine" end
  return relay(co, resume(co, ...))
end

local function unwrap(co, ok, ...)
  if ok then return ... end
  local why = ...
  if close and status(co) == "dead" then
    -- As Lua itself does: what the coroutine had to close may have failed, too.
    local closed, why_not = close(co)
    if not closed then why = why_not end
  end
  if limits then limits.raising(why) end
  error(why, CALLER) -- where a text gets the caller's place in front
end

function coroutine.wrap(f)
  local ok, co = pcall(create, f)
  if not ok then
    if limits then limits.caught(ok, co) end
    error((gsub(co, "to '[^']*'", "to 'wrap'")), 2)
  end
  if limits then limits.watch(co) end
  return function(...)
    if waits[co] then error("cannot resume non-suspended coroutine", 2) end
    return unwrap(co, relay(co, resume(co, ...)))
  end
end

if close then
  function coroutine.close(co)
    if waits[co] then error("cannot close a normal coroutine", 2) end
    return close(co)
  end
end

-- Closes a coroutine that waits, after those in it whose request it has passed on.
-- Returns true; or false and what went wrong first, in a to-be-closed variable.
local function close_all(co)
  local within = inner[co]
  if within then inner[co], waits[within] = nil, nil end
  local fine, why = true, nil
  if within then fine, why = close_all(within) end
  local close_request = closing[co]
  if close_request then
    closing[co] = nil
    close_request()
  end
  if not close then return true end
  local ok, closed, what = pcall(close, co)
  if not fine or (ok and closed) then return fine, why end
  if not ok then what = closed end
  return false, what
end

-- Sees to the requests that are left over where a limit has ended a task, wherever that was:
-- all but those which the tasks that wait in these coroutines have made.
local function close_lost_requests(waiting)
  if next(closing) == nil then return end
  local is_waiting = {}
  for _, co in next, waiting do
    while inner[co] do co = inner[co] end
    is_waiting[co] = true
  end
  for co, close_request in next, closing do
    if not is_waiting[co] then
      closing[co] = nil
      close_request()
    end
  end
end

if is_puc_51 then
  local NO_YIELD = "attempt to yield across metamethod/C-call boundary"

  local function explained(ok, ...)
    if not ok and rawequal((...), NO_YIELD) then
      return ok, NO_YIELD .. " (Lua 5.1 cannot pause a task inside pcall)"
    end
    return ok, ...
  end

  for _, name in next, { "pcall", "xpcall" } do
    local call = _G[name]
    _G[name] = function(...) return explained(call(...)) end
  end
end

return {
  REQUEST = REQUEST, CANNOT_PAUSE = CANNOT_PAUSE, CALLER = CALLER,
  try = try, resume = plain_resume, close = close_all,
  -- How one is resumed whose requests are not passed on, and how what came of that is.
  begin = resume, relay = relay,
  closing = closing, close_lost_requests = close_lost_requests, hold = hold,
}
