-- How deep functions of C nest that call Lua back. LuaJIT does not count them, and
-- crashes when the thread's stack is used up; here it fails as the other
-- implementations do.

local error, getinfo, pcall, resume = error, debug.getinfo, pcall, coroutine.resume

-- About as many as PUC Lua allows. The largest, string.gsub, takes 8.5 KB of the stack.
local MAX_DEPTH = 190

-- A coroutine whose own stack is as deep as this many calls counts for many: these may be
-- of functions that are not counted, such as table.sort, which take 5 MB in all at most.
local DEEP, DEPTH_OF_DEEP = 200, 19

local depth = 0

local function left(before, ...)
  depth = before
  return ...
end

-- What coroutine.resume does.
local function counted_resume(co, ...)
  local before = depth
  if before >= MAX_DEPTH then return false, "C stack overflow" end
  depth = before + (before > 0 and getinfo(DEEP, "l") and DEPTH_OF_DEEP or 1)
  return left(before, resume(co, ...))
end

local function results(ok, ...)
  if not ok then error((...), 0) end
  return ...
end

-- Calls a function of C that calls back.
local function enter(f, ...)
  local before = depth
  if before >= MAX_DEPTH then error("C stack overflow", 3) end
  depth = before + 1
  return results(left(before, pcall(f, ...)))
end

return { resume = jit and counted_resume or resume, enter = enter }
