--- What nginx answers: `drive` measures inside, the others are driven over HTTP.
local ffi = require("ffi")
local work = require("work")

ffi.cdef([[
  typedef struct { long seconds, nanoseconds; } bench_time;
  int clock_gettime(int clock, bench_time *time);
]])

local MONOTONIC = 1 -- of Linux

local time = ffi.new("bench_time")

local function now()
  ffi.C.clock_gettime(MONOTONIC, time)
  return tonumber(time.seconds) * 1e6 + tonumber(time.nanoseconds) / 1e3
end

local function call(pool, ...)
  local ok, result = ngx.run_worker_thread(pool, "work", ...)
  if not ok then
    error(result)
  end
  return result
end

local handlers = {}

--- Call a function of a worker thread `count` times from each of some light threads at once, and
--- say how many microseconds a call takes.
function handlers.drive(pool, in_flight, count)
  in_flight, count = tonumber(in_flight), tonumber(count)
  local function calls()
    for _ = 1, count do
      call(pool, "add", 20, 22)
    end
  end
  local start = now()
  local threads = {}
  for i = 1, in_flight do
    threads[i] = ngx.thread.spawn(calls)
  end
  for i = 1, in_flight do
    assert(ngx.thread.wait(threads[i]))
  end
  ngx.print((now() - start) / (in_flight * count))
end

--- Answer at once.
function handlers.quick()
  ngx.print("quick")
end

--- Do what blocks, in the worker process itself or in a thread.
function handlers.work(pool, name, argument)
  argument = tonumber(argument) or argument
  if pool == "none" then
    ngx.print(work[name](argument))
  else
    ngx.print(call(pool, name, argument))
  end
end

--- Tell the version of lua-nginx-module, as a number: 10023 is 0.10.23.
function handlers.version()
  ngx.print(ngx.config.ngx_lua_version)
end

return handlers
