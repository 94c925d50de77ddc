-- The module ngx.semaphore. A semaphore belongs to one Lua state; tasks of that state,
-- and their light threads, share it. Python has those that wait sleep.

local api = ...

local closing, try_request, upcall = api.coroutines.closing, api.try_request, api.upcall
local CANNOT_PAUSE = api.coroutines.CANNOT_PAUSE
local running = coroutine.running
local error, floor, min, next, setmetatable = error, math.floor, math.min, next, setmetatable
local tonumber, type = tonumber, type

local MOST = 2 ^ 31 -- units at a time, and seconds

local semaphore = { version = "0.1.23" }
local semaphore_mt = { __index = semaphore, __metatable = false }

-- By semaphore: its units, and the queue of those that wait. A task must not get at them.
local contents = setmetatable({}, { __mode = "k" })

local last_number = 0 -- of one that waits

-- Returns a new semaphore with `n` units.
function semaphore.new(n)
  local units = n and tonumber(n) or 0
  if units < 0 or units ~= units then error("no negative number", 2) end
  local self = setmetatable({}, semaphore_mt)
  contents[self] = { units = floor(min(units, MOST)), queue = {}, first = 1, last = 0 }
  return self
end

local function contents_of(self)
  local content = type(self) == "table" and contents[self]
  if not content then error("bad argument #1 (semaphore expected)", 3) end
  return content
end

local function add(content, units)
  local queue = content.queue
  while units > 0 and content.first <= content.last do
    local place = content.first
    local waiter = queue[place]
    if waiter then
      waiter.has_unit, units = true, units - 1
      queue[place] = nil
      upcall("semaphore.wake", waiter.number)
    end
    content.first = place + 1
  end
  content.units = content.units + units
end

-- Waits for a unit for at most so many seconds. Returns true, or nil and "timeout".
function semaphore.wait(self, seconds)
  local content = contents_of(self)
  local time = tonumber(seconds)
  if not time then error("bad argument #1 to 'wait' (number expected)", 2) end
  if time < 0 or time ~= time then error("no negative number", 2) end
  if content.units > 0 then
    content.units = content.units - 1
    return true
  end
  if time == 0 then return nil, "timeout" end
  last_number = last_number + 1
  local number, place, queue, me = last_number, content.last + 1, content.queue, running()
  local waiter = { number = number, has_unit = false }
  -- A limit may end this anywhere. What is in the queue, or has a unit, is all that counts.
  closing[me] = function()
    queue[place] = nil
    upcall("semaphore.forget", number)
    if waiter.has_unit then add(content, 1) end
  end
  content.last = place
  queue[place] = waiter
  local could_pause, why = try_request("semaphore.wait", number, min(time, MOST))
  queue[place] = nil
  upcall("semaphore.forget", number)
  closing[me] = nil
  if waiter.has_unit then return true end
  if not could_pause then error(why .. CANNOT_PAUSE, 2) end
  return nil, "timeout"
end

-- Adds `n` units, by default one.
function semaphore.post(self, n)
  local content = contents_of(self)
  local units = n and tonumber(n) or 1
  if units < 1 or units ~= units then error("positive number required", 2) end
  add(content, floor(min(units, MOST)))
  return true
end

-- Returns how many units there are, or with a minus how many wait for one.
function semaphore.count(self)
  local content = contents_of(self)
  local count = content.units
  for _ in next, content.queue do count = count - 1 end
  return count
end

return semaphore
