-- ngx.log: to Python's logging, with the place of the caller.

local api = ...

local error, floor, rawequal, rawget, select = error, math.floor, rawequal, rawget, select
local tonumber, type = tonumber, type
local getinfo, getmetatable = debug.getinfo, debug.getmetatable
local byte, concat, sub = string.byte, table.concat, string.sub
local null, upcall = api.null, api.upcall

local STDERR, DEBUG = 0, 8 -- the first and the last level
local CALLER = 3 -- the level of who has called ngx.log
local AT = byte("@")

local function bad_argument(number, why)
  error("bad argument #" .. number .. " to 'log' (" .. why .. ")", 3)
end

-- Returns an argument as it is logged, or nothing and why it cannot be.
local function text(value)
  local kind = type(value)
  if kind == "string" or kind == "number" then return value end
  if kind == "nil" then return "nil" end
  if kind == "boolean" then return value and "true" or "false" end
  if rawequal(value, null) then return "null" end
  if kind ~= "table" then
    return nil, "string, number, boolean, or nil expected, got " .. kind
  end
  local mt = getmetatable(value)
  local to_string = mt and rawget(mt, "__tostring")
  if not to_string then return nil, "expected table to have __tostring metamethod" end
  local s = to_string(value)
  return (type(s) == "string" or type(s) == "number") and s or ""
end

-- Returns the chunk's file or name, the line and, if it is known, the name of the
-- innermost Lua function.
local function caller()
  local level = CALLER
  local info
  repeat
    info = getinfo(level, "Snl")
    level = level + 1
  until not info or info.currentline > 0
  if not info then return "?", 0 end
  local path = byte(info.source) == AT and sub(info.source, 2) or info.short_src
  return path, info.currentline, info.what ~= "main" and info.name or nil
end

local function log(...)
  local level, count = (...), select("#", ...)
  local number = tonumber(level)
  if not number then
    bad_argument(1, "number expected, got " .. (count == 0 and "no value" or type(level)))
  end
  number = floor(number)
  if not (number >= STDERR and number <= DEBUG) then
    bad_argument(1, "bad log level: " .. number)
  end
  if not upcall("log_enabled", number) then return end
  local texts = {}
  for i = 2, count do
    local s, why = text((select(i, ...)))
    -- nginx does not count the level.
    if not s then bad_argument(i - 1, why) end
    texts[i - 1] = s
  end
  local failure = upcall("log", number, concat(texts), caller())
  if failure then error(failure, 2) end
end

return { log = log }
