-- Ends a task that has run for too long, has been cancelled or has used up the
-- memory, whatever its code does. A hook looks at the clock every few thousand
-- instructions, and asks Python every few milliseconds. What it raises nobody may
-- catch: all that catches errors raises it again (`caught`, `survived`).

-- `check` is a function of Python's. It gets the number of the step, and returns 0,
-- or the number of the reason why the task must end. ASK_EVERY is how many seconds
-- of CPU time pass between two questions. HAS_HOOK is whether there is anything to ask;
-- and MEMORY_LIMIT how many bytes there are, if running out of memory ends a task and
-- is no error as any other.
local check, ASK_EVERY, HAS_HOOK, MEMORY_LIMIT, OURS = ...
local HAS_MEMORY_LIMIT = MEMORY_LIMIT ~= nil

local error, pcall, rawequal, select, type = error, pcall, rawequal, select, type
local running = coroutine.running
local getinfo, sethook, traceback = debug.getinfo, debug.sethook, debug.traceback
local gmatch, gsub, match = string.gmatch, string.gsub, string.match
local max, rep, sub = math.max, string.rep, string.sub
local clock, collectgarbage, unpack = os.clock, collectgarbage, table.unpack or unpack

-- The reason that Python does not give; _limits.py knows it by this number.
local MEMORY = 3

-- Instructions between two looks at the clock. A single one may take milliseconds,
-- so there are few of them at first, and whenever they turn out to be slow.
local FEWEST, MOST = 16, 2048
local QUICK, SLOW = 0.0002, 0.002 -- seconds for all of them

-- The work, in bytes about, that functions of C may do between two looks.
local MOST_WORK = 2 ^ 20
local WORK_OF_ERROR = 2 ^ 12

local OUR_PLACE = OURS .. ":%d+: "
local NO_MEMORY = "not enough memory" -- what Lua raises, with nothing before it

-- Lua 5.3 has another message where a function of C builds a string.
local NO_BUFFER = _VERSION == "Lua 5.3" and "not enough memory for buffer allocation$"

local function is_no_memory(why)
  return rawequal(why, NO_MEMORY) or NO_BUFFER and type(why) == "string" and match(why, NO_BUFFER)
end

local collect_at = HAS_MEMORY_LIMIT and MEMORY_LIMIT / 2
-- The bytes of strings that functions of C may build between two looks at the memory, and
-- between two collections, as Lua 5.5 does not count them.
local MOST_FRESH = HAS_MEMORY_LIMIT and MEMORY_LIMIT / 64
local MOST_BUILT = HAS_MEMORY_LIMIT and MEMORY_LIMIT / 8
local fresh, built = 0, 0

-- What is raised. No code of a task gets to see it.
local KILLED = {}

local killed -- the reason why the task that runs must end, or nil
local chunk, line, trace -- where it was then
local forged = false -- whether a task has raised Lua's message itself

-- Memory that is let go of when there is no more, for what is to be done then.
local RESERVE = 2 ^ 18 -- bytes
local reserve

local step = 0 -- the number of the one that runs
local instructions, work = FEWEST, 0
-- By the CPU time of the process: it is never behind that of a thread that is busy,
-- and where other threads are busy, too, there are only more questions.
local last_look, next_question = 0, 0

local hook

local function place(level)
  while true do
    level = level + 1
    local info = getinfo(level, "Sl")
    if not info then return end
    if info.currentline > 0 and not match(info.short_src, OURS) then
      return info.short_src, info.currentline, level - 1
    end
  end
end

local function kill(reason)
  killed, chunk, line, trace = reason, nil, nil, nil
  if reason == MEMORY then
    reserve = nil
    collectgarbage()
  end
  local level
  chunk, line, level = place(1)
  if level then trace = sub(traceback("", level), 2) end
  -- From now on every instruction fails: there may be many functions to leave.
  if HAS_HOOK then sethook(hook, "", 1) end
  error(KILLED, 0)
end

local function look()
  if killed then error(KILLED, 0) end
  local now = clock()
  if now < next_question then return now end
  next_question = now + ASK_EVERY
  local reason = check(step)
  if reason ~= 0 then kill(reason) end
  return now
end

-- Frees memory before it runs out. LuaJIT and Lua 5.1 do not collect garbage then, and
-- the others not where a function of C builds a string.
local function collect()
  local used = collectgarbage("count") * 1024
  if used < collect_at and built < MOST_BUILT then return end
  built = 0
  collectgarbage()
  used = collectgarbage("count") * 1024
  -- While `init` runs there may be more in use than the limit.
  collect_at = used + max((MEMORY_LIMIT - used) / 2, MEMORY_LIMIT / 16)
end

function hook()
  -- LuaJIT has one hook for all coroutines, and in the main one is the dispatcher.
  if not running() then return end
  local now = look()
  if HAS_MEMORY_LIMIT then collect() end
  local elapsed = now - last_look
  last_look = now
  if elapsed < QUICK and instructions < MOST then
    instructions = instructions * 2
  elseif elapsed > SLOW and instructions > FEWEST then
    instructions = FEWEST
  else
    return
  end
  sethook(hook, "", instructions)
  last_look = clock() -- Lua 5.4 goes over all of a deep stack for that.
end

-- Notes what a function of C is about to do, in bytes about.
local function spend(amount)
  if HAS_MEMORY_LIMIT then
    fresh = fresh + amount
    if fresh > MOST_FRESH then
      fresh, built = 0, built + fresh
      collect()
    end
  end
  work = work + amount
  if work < MOST_WORK then return end
  work = 0
  if HAS_HOOK then look() end
end

-- Returns an error as the task that has caught it gets it, unless nobody may catch it.
local function caught_error(why)
  -- Where the stack is full there is no room for a hook: then it is errors that count.
  spend(WORK_OF_ERROR)
  if HAS_MEMORY_LIMIT and is_no_memory(why) and not forged then kill(MEMORY) end
  forged = false
  -- Where it was raised in a function of ours is nothing that concerns the task.
  return type(why) == "string" and gsub(why, OUR_PLACE, "") or why
end

-- Passes on what a protected call returns, unless nobody may catch that.
local function caught(ok, ...)
  if killed then error(KILLED, 0) end
  if ok then return ok, ... end
  return ok, (caught_error(...))
end

-- Passes on what any other function returns that may have caught an error.
local function survived(...)
  if killed then error(KILLED, 0) end
  forged = false
  return ...
end

-- Why what is done for a task, outside of its code, must come to an end, or nil.
local function why_over()
  local now = clock()
  if now < next_question then return nil end
  next_question = now + ASK_EVERY
  local reason = check(step)
  return reason ~= 0 and reason or nil
end

-- Why what was done for a task has failed, or nil if this is an error as any other.
local function why_failed(why)
  return HAS_MEMORY_LIMIT and is_no_memory(why) and MEMORY or nil
end

-- Whether an error is not for handlers of the task.
local function is_fatal(why)
  return killed ~= nil or HAS_MEMORY_LIMIT and is_no_memory(why) and not forged
end

-- Hears of an error that a task is about to raise.
local function raising(why)
  forged = is_no_memory(why)
end

-- Makes a coroutine interruptible. LuaJIT's hook is for all coroutines.
local function watch(co)
  if HAS_HOOK and not jit then sethook(co, hook, "", instructions) end
  return co
end

-- Functions of the user's run in the interpreter, as compiled code has no hooks.
local function interpreted(fn, ...)
  if HAS_HOOK and jit and type(fn) == "function" then pcall(jit.off, fn, true) end
  return fn, ...
end


-- Compilers take quadratic time for long chains of jumps, and no hook interrupts them.
local MOST_JUMPS, SHORT_TEXT = 5000, 2 ^ 15
local JUMPS = { "elseif", "and", "or" }

-- Why a text is not compiled, or nil.
local function why_not_compiled(text)
  if #text <= SHORT_TEXT then return nil end
  local jumps = 0
  for i = 1, #JUMPS do
    for _ in gmatch(text, JUMPS[i]) do
      jumps = jumps + 1
      if jumps > MOST_JUMPS then
        return "too many jumps to be compiled in a thread pool with limits"
      end
    end
  end
end


-------------------------------------------------------------------------- the steps

local function ended(ok, ...)
  -- First of all: there may be no memory even to call a function.
  if not ok and reserve and (...) == NO_MEMORY then
    reserve = nil
    collectgarbage()
  end
  if not killed then return ok, ... end
  if HAS_HOOK and jit then sethook(hook, "", FEWEST) end
  return false, KILLED
end

-- Takes the function that resumes a task's coroutine, and returns one that does so
-- within the limits.
local function limited(resume)
  return function(co, ...)
    step = step + 1
    killed, forged, work = nil, false, 0
    if HAS_MEMORY_LIMIT and not reserve then
      local has_room, text = pcall(rep, "x", RESERVE)
      reserve = has_room and text or nil
    end
    if not HAS_HOOK then return ended(resume(co, ...)) end
    last_look = clock()
    if not jit then
      sethook(co, hook, "", FEWEST)
    elseif instructions ~= FEWEST then
      sethook(hook, "", FEWEST)
    end
    instructions = FEWEST
    return ended(resume(co, ...))
  end
end

local function current_step()
  return step
end

-- Why the task that has just been resumed was ended, or nil; and the chunk, line and
-- traceback. `why` is the error that it has raised.
local function reason_for(why)
  if killed then return killed, chunk, line, trace end
  if HAS_MEMORY_LIMIT and is_no_memory(why) and not forged then return MEMORY end
end

if HAS_HOOK and jit then sethook(hook, "", FEWEST) end


------------------------------------------------------------------------- the memory

-- Python lifts the limit while lupa passes values, as nothing would catch an error
-- there. So a step takes two calls: one that keeps the arguments, without the limit,
-- and then, with it, one of what `staged` returns.
local kept, count

local function stage(...)
  kept, count = { ... }, select("#", ...)
end

local function staged(f)
  return function()
    local arguments, n = kept, count
    kept = nil
    return f(unpack(arguments, 1, n))
  end
end

-- LuaJIT and Lua 5.1 do not collect when memory runs out, and the others not where a
-- function of C builds a string: so they begin early, and are quick.
if HAS_MEMORY_LIMIT then
  local pause, speed = setfenv and 110 or 120, 400
  if pcall(collectgarbage, "setpause", pause) then
    collectgarbage("setstepmul", speed)
  else
    collectgarbage("param", "pause", pause) -- Lua 5.5
    collectgarbage("param", "stepmul", speed)
  end
end

return {
  limited = limited, reason_for = reason_for, spend = spend, MOST_WORK = MOST_WORK,
  HAS_HOOK = HAS_HOOK, HAS_MEMORY_LIMIT = HAS_MEMORY_LIMIT, MEMORY_LIMIT = MEMORY_LIMIT,
  MEMORY = MEMORY,
  caught = caught, survived = survived, is_fatal = is_fatal, raising = raising,
  why_over = HAS_HOOK and why_over, why_failed = why_failed,
  watch = watch, interpreted = interpreted, why_not_compiled = why_not_compiled,
  stage = stage, staged = staged, current_step = current_step,
}
