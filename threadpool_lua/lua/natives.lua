-- Replaces what no hook interrupts, in pools that need one: functions of C that may take
-- for ever, and code that has no hooks.

local limits, patterns = ...
if jit then jit.off(true, true) end -- Neither has compiled code.

local _G, error, next, rawget, select = _G, error, next, rawget, select
local tonumber, tostring, type = tonumber, tostring, type
local spend, survived, interpreted, MOST_WORK = limits.spend, limits.survived, limits.interpreted,
  limits.MOST_WORK
local debug, math, string, table = debug, math, string, table
local getmetatable = debug.getmetatable


---------------------------------------------------------------- what has no hooks

if jit then
  -- Some functions of LuaJIT's libraries are Lua code.
  for _, library in next, { _G, string, table, math } do
    for _, fn in next, library do interpreted(fn) end
  end

  function jit.on()
    error("the compiler is off in a thread pool with limits", 2)
  end
end

function debug.sethook()
  error("debug.sethook is not available in a thread pool with limits", 2)
end

-- A finalizer runs without hooks, whenever the collector comes to it.
local function without_finalizer(setmetatable, name)
  return function(value, mt, ...)
    if type(mt) == "table" and rawget(mt, "__gc") ~= nil then
      error(name .. ": __gc is not available in a thread pool with limits", 2)
    end
    return setmetatable(value, mt, ...)
  end
end

_G.setmetatable = without_finalizer(setmetatable, "setmetatable")
debug.setmetatable = without_finalizer(debug.setmetatable, "debug.setmetatable")
_G.newproxy = nil
getmetatable(io.stdout).__metatable = false


------------------------------------------------------------------- what takes for ever

local collectgarbage = collectgarbage

function _G.collectgarbage(what, ...)
  if what ~= "count" then spend(MOST_WORK) end
  return survived(collectgarbage(what, ...))
end

for _, name in next, { "find", "match", "gmatch", "gsub" } do string[name] = patterns[name] end

for _, name in next, { "lower", "upper", "reverse" } do
  local f = string[name]
  string[name] = function(s, ...)
    if type(s) == "string" then spend(#s) end
    return f(s, ...)
  end
end

local rep = string.rep

function string.rep(s, n, separator, ...)
  -- What is taken for a text or a number.
  if type(s) == "number" then s = tostring(s) end
  local count = tonumber(n)
  if type(s) == "string" and count then
    local each = #s + (separator ~= nil and #tostring(separator) or 0)
    if each == 0 and count > 1 then n = 1 end
    if count > 0 then spend(count * each) end
  end
  return rep(s, n, separator, ...)
end

local sort = table.sort

local function is_less(a, b)
  return a < b
end

function table.sort(t, less, ...)
  if less == nil then less = is_less end
  if type(less) ~= "function" then return sort(t, less, ...) end
  -- One of C's would not be interrupted.
  return sort(t, function(a, b) return less(a, b) end)
end

-- From Lua 5.3 on these heed metamethods, which may claim any length. The others go by
-- what a table really holds, but for places that are far from that.
local heeds_metamethods = math.type ~= nil
local NEAR = 10 ^ 6 -- elements

local concat, insert, remove = table.concat, table.insert, table.remove

function table.insert(t, ...)
  if type(t) ~= "table" or select("#", ...) ~= 2 then return insert(t, ...) end
  local position, value = ...
  local is_far = type(position) == "number" and position < -NEAR
  if not (heeds_metamethods and getmetatable(t) or is_far) then
    spend(#t)
    return insert(t, ...)
  end
  local last = #t + 1
  if heeds_metamethods then
    position = math.tointeger(position)
    if not position or position < 1 or position > last then return insert({}, ...) end -- fails
  end
  for i = last, position + 1, -1 do t[i] = t[i - 1] end
  t[position] = value
end

function table.remove(t, ...)
  if type(t) ~= "table" or select("#", ...) == 0 then return remove(t, ...) end
  if not (heeds_metamethods and getmetatable(t)) then
    spend(#t)
    return remove(t, ...)
  end
  local size = #t
  local position = math.tointeger((...))
  if not position or position ~= size and (position < 1 or position > size + 1) then
    return remove({}, ...) -- fails
  end
  local value = t[position]
  for i = position, size - 1 do t[i] = t[i + 1] end
  if position <= size then t[size] = nil else t[position] = nil end
  return value
end

if heeds_metamethods then
  local AT_ONCE = 10000 -- elements

  function table.concat(t, separator, first, last)
    if type(t) ~= "table" or not getmetatable(t) then return concat(t, separator, first, last) end
    if last == nil then last = #t end
    local from, to = math.tointeger(first or 1), math.tointeger(last)
    if not from or not to or to - from < AT_ONCE and to >= from then
      return concat(t, separator, first, last)
    end
    local pieces, count = {}, 0
    for i = from, to do
      local value = t[i]
      if type(value) ~= "string" and type(value) ~= "number" then
        error("invalid value (at index " .. tostring(i) .. ") in table for 'concat'", 2)
      end
      count = count + 1
      pieces[count] = value
    end
    return concat(pieces, separator)
  end

  local move = table.move

  function table.move(from, first, last, to, ...)
    local f, e, t = math.tointeger(first), math.tointeger(last), math.tointeger(to)
    if type(from) ~= "table" or not (f and e and t) or math.ult(e - f, AT_ONCE) or e < f then
      return move(from, first, last, to, ...)
    end
    local target = ...
    if target == nil then target = from end
    -- Of no element: for the errors that the arguments may be.
    move(from, f, f - 1, t, target)
    if f <= 0 and e >= math.maxinteger + f then
      error("bad argument #3 to 'move' (too many elements to move)", 2)
    end
    if t > math.maxinteger - (e - f + 1) + 1 then
      error("bad argument #4 to 'move' (destination wrap around)", 2)
    end
    if t > e or t <= f or target ~= from then
      for i = 0, e - f do target[t + i] = from[f + i] end
    else
      for i = e - f, 0, -1 do target[t + i] = from[f + i] end
    end
    return target
  end
end
