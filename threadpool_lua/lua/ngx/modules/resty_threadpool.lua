-- The module resty.threadpool, with the interface of lua-resty-threadpool: functions that
-- run on any pool, as coroutines that the task resumes.

local api = ...

local error, rawequal, setmetatable = error, rawequal, setmetatable
local getmetatable = debug.getmetatable
local tostring, type = tostring, type
local request, try_request, upcall = api.request, api.try_request, api.upcall
local describe = api.functions.describe

local thread = {}
local thread_mt = { __index = thread, __metatable = false }

local function check(self)
  if type(self) ~= "table" or not rawequal(getmetatable(self), thread_mt) then
    error("bad argument #1 (thread of a pool expected)", 3)
  end
end

-- Makes a coroutine of a function, for a pool. The function gets a copy of its upvalues.
-- Returns it, or nil and why the function cannot go there.
local function create(pool, fn)
  if type(pool) ~= "string" then
    error("bad argument #1 to 'create' (string expected, got " .. type(pool) .. ")", 2)
  end
  if type(fn) ~= "function" then
    error("bad argument #2 to 'create' (function expected, got " .. type(fn) .. ")", 2)
  end
  local description, why = describe(fn)
  if not description then return nil, why end
  return setmetatable({
    state = "created", pool = pool, description = description, number = upcall("number"),
  }, thread_mt)
end

-- What it is doing: "created", "queued", "running", "yielded", "success", "failed" or
-- "destroyed".
function thread.status(self)
  check(self)
  if self.state == "resumed" then return upcall("threadpool.status", self.number) or "running" end
  return self.state
end

local function outcome(self, before, could_pause, ok, state, ...)
  if not could_pause then
    self.state = before
    error(ok, 3)
  end
  if not ok then
    self.state = before
    return nil, tostring(state)
  end
  if self.state == "resumed" then self.state = state end
  if state == "failed" then return nil, (...) end
  return ...
end

-- Runs it until it yields or returns. Returns what it does, or nil and why it has failed.
function thread.resume(self, ...)
  check(self)
  local before = self.state
  self.state = "resumed"
  if before == "created" then
    return outcome(self, before,
      try_request("threadpool.start", self.number, self.pool, self.description, ...))
  elseif before == "yielded" then
    return outcome(self, before, try_request("threadpool.resume", self.number, ...))
  end
  self.state = before
  return nil, "cannot resume a thread whose status is '" .. thread.status(self) .. "'"
end

-- Ends it, if it has not ended.
function thread.close(self)
  check(self)
  if self.state == "resumed" or self.state == "yielded" then
    request("threadpool.close", self.number)
  end
  if self.state ~= "success" and self.state ~= "failed" then self.state = "destroyed" end
end

return { create = create }
