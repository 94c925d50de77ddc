-- The time of day. Python tells it, as Lua's own functions are not made for threads on
-- every implementation; and it is always the current time, which nothing has to update.

local api = ...

local error, sub, type = error, string.sub, type
local upcall = api.upcall

local function current(name)
  return function() return upcall(name) end
end

local function formatter(name)
  return function(seconds)
    if type(seconds) ~= "number" then error("number argument only", 2) end
    return upcall(name, seconds)
  end
end

local LONGEST_TIME = 100 -- bytes that are looked at, as Python does so with the GIL held

local function parse_http_time(s)
  if type(s) ~= "string" then error("string argument only", 2) end
  return upcall("parse_http_time", sub(s, 1, LONGEST_TIME))
end

return {
  now = current("now"), time = current("time"), today = current("today"),
  localtime = current("localtime"), utctime = current("utctime"),
  update_time = function() end,
  http_time = formatter("http_time"), cookie_time = formatter("cookie_time"),
  parse_http_time = parse_http_time,
}
