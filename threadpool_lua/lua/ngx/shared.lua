-- ngx.shared: dictionaries that Python keeps, the same ones for all states. An operation
-- is one upcall. What is checked here is what resty.core checks in Lua.

local api = ...

local spend, text_of, upcall = api.spend, api.text_of, api.upcall
local error, next, rawget, select = error, next, rawget, select
local setmetatable, tonumber, type = setmetatable, tonumber, type
local find, sub = string.find, string.sub
local floor = math.floor

local MAX_KEY = 65535
local MAX_INTEGER = 2 ^ 53 -- that all numbers up to it are exact

-- Returns the strings in a netstring after the other, without commas.
local function unpacked(packed)
  local strings, count, first = {}, 0, 1
  while true do
    local colon = find(packed, ":", first, true)
    if not colon then return strings end
    local last = colon + tonumber(sub(packed, first, colon - 1))
    count = count + 1
    strings[count] = sub(packed, colon + 1, last)
    first = last + 1
  end
end

-- As in OpenResty, a zone is a table whose first item says which.
local shared, is_name = {}, {}
local methods = {}
methods.__index = methods

for _, name in next, unpacked(upcall("shared")) do
  shared[name], is_name[name] = setmetatable({ name }, methods), true
end


----------------------------------------------------------------------------- arguments

local function name_of(zone)
  local name = type(zone) == "table" and rawget(zone, 1)
  if name == nil or not is_name[name] then error("bad \"zone\" argument", 3) end
  return name
end

-- Returns a key as a string, or nil and why it is none.
local function string_key(key)
  if key == nil then return nil, "nil key" end
  if type(key) ~= "string" then
    key = text_of(key)
  end
  if key == "" then return nil, "empty key" end
  if #key > MAX_KEY then return nil, "key too long" end
  return key
end

local function optional_count(name, default, ...)
  local n = select("#", ...)
  if n < 2 then return default end
  if n > 2 then error("expecting 1 or 2 argument(s), but saw " .. n, 3) end
  local value = select(2, ...)
  local count = tonumber(value)
  if not count then
    error("bad argument #1 to '" .. name .. "' (number expected, got " .. type(value) .. ")", 3)
  end
  return count >= 1 and count < MAX_INTEGER and floor(count) or 0
end

local function expect(expected, seen)
  if seen ~= expected then
    error("expecting " .. expected .. " arguments, but only seen " .. seen, 3)
  end
end


-------------------------------------------------------------------------------- values

function methods.get(zone, key)
  local name = name_of(zone)
  local text, why = string_key(key)
  if not text then return nil, why end
  local value, flags = upcall("shared.get", name, text)
  if flags == nil then return value end
  return value, flags -- or nil and an error
end

function methods.get_stale(zone, key)
  local name = name_of(zone)
  local text, why = string_key(key)
  if not text then return nil, why end
  local value, flags, stale = upcall("shared.get_stale", name, text)
  if value ~= nil then return value, flags, stale end
  if flags == nil then return nil end
  return nil, flags -- which is an error
end

local function define_store(method)
  local operation = "shared." .. method
  methods[method] = function(zone, key, value, exptime, flags)
    local name = name_of(zone)
    exptime, flags = exptime or 0, flags or 0
    if type(exptime) ~= "number" or exptime < 0 or exptime ~= exptime then
      error("bad \"exptime\" argument", 2)
    end
    if type(flags) ~= "number" or not (flags > -MAX_INTEGER and flags < MAX_INTEGER) then
      error("bad \"flags\" argument", 2)
    end
    local text, why = string_key(key)
    if not text then return nil, why end
    local kind = type(value)
    if kind == "string" then
      spend(#value)
    elseif kind ~= "number" and kind ~= "boolean" and kind ~= "nil" then
      return nil, "bad value type"
    end
    return upcall(operation, name, text, value, exptime, flags)
  end
end

define_store("set")
define_store("safe_set")
define_store("add")
define_store("safe_add")
define_store("replace")

function methods.delete(zone, key)
  local name = name_of(zone)
  local text, why = string_key(key)
  if not text then return nil, why end
  return upcall("shared.set", name, text, nil)
end

-- Returns a number that may be given as a string.
local function numeric(what, value)
  local number = tonumber(value)
  if not number then
    error("bad " .. what .. " arg: number expected, got " .. type(value), 3)
  end
  return number
end

function methods.incr(zone, key, value, init, init_ttl)
  local name = name_of(zone)
  local text, why = string_key(key)
  if not text then return nil, why end
  local step = tonumber(value)
  if not step then error("cannot convert 'nil' to 'double'", 2) end -- as FFI words it
  init = init and numeric("init", init) or nil
  if init_ttl ~= nil then
    init_ttl = numeric("init_ttl", init_ttl)
    if init_ttl < 0 or init_ttl ~= init_ttl then error("bad \"init_ttl\" argument", 2) end
    if not init then error("must provide \"init\" when providing \"init_ttl\"", 2) end
  end
  local sum, failure, forcible = upcall("shared.incr", name, text, step, init, init_ttl or 0)
  if not sum then return nil, failure end
  if not init then return sum end
  return sum, nil, forcible
end


--------------------------------------------------------------------------------- lists

local function define_push(method)
  local operation = "shared." .. method
  methods[method] = function(...)
    expect(3, select("#", ...))
    local zone, key, value = ...
    local name = name_of(zone)
    local text, why = string_key(key)
    if not text then return nil, why end
    local kind = type(value)
    if kind == "string" then
      spend(#value)
    elseif kind ~= "number" then
      return nil, "bad value type"
    end
    local length, failure = upcall(operation, name, text, value)
    if not length then return nil, failure end
    return length
  end
end

local function define_list(method)
  local operation = "shared." .. method
  methods[method] = function(...)
    expect(2, select("#", ...))
    local zone, key = ...
    local name = name_of(zone)
    local text, why = string_key(key)
    if not text then return nil, why end
    local value, failure = upcall(operation, name, text)
    if failure then return nil, failure end
    return value
  end
end

define_push("lpush")
define_push("rpush")
define_list("lpop")
define_list("rpop")
define_list("llen")


--------------------------------------------------------------------------------- times

function methods.ttl(zone, key)
  local name = name_of(zone)
  local text, why = string_key(key)
  if not text then return nil, why end
  local seconds, failure = upcall("shared.ttl", name, text)
  if not seconds then return nil, failure end
  return seconds
end

function methods.expire(zone, key, exptime)
  local name = name_of(zone)
  local seconds = tonumber(exptime)
  if not seconds or seconds ~= seconds then error("bad \"exptime\" argument", 2) end
  local text, why = string_key(key)
  if not text then return nil, why end
  local ok, failure = upcall("shared.expire", name, text, seconds)
  if not ok then return nil, failure end
  return true
end

function methods.flush_all(zone)
  upcall("shared.flush_all", name_of(zone))
end

function methods.flush_expired(...)
  return upcall("shared.flush_expired", name_of((...)), optional_count("flush_expired", 0, ...))
end


---------------------------------------------------------------------------- the whole

function methods.get_keys(...)
  return unpacked(upcall("shared.get_keys", name_of((...)), optional_count("get_keys", 1024, ...)))
end

function methods.capacity(zone)
  return upcall("shared.capacity", name_of(zone))
end

function methods.free_space(zone)
  return upcall("shared.free_space", name_of(zone))
end

return { shared = shared }
