-- The module "resty.core.time": the time since some moment, which no clock is set back in.

local api = ...

local upcall = api.upcall

local function monotonic_msec()
  return upcall("monotonic_msec")
end

local function monotonic_time()
  return upcall("monotonic_msec") / 1000
end

return { version = "0.1.31", monotonic_msec = monotonic_msec, monotonic_time = monotonic_time }
