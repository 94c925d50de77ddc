-- What the methods of sockets take, and what they say of anything else.

local error, next, tonumber, tostring, type = error, next, tonumber, tostring, type
local format, lower, match, sub = string.format, string.lower, string.match, string.sub
local concat, ceil, floor = table.concat, math.ceil, math.floor

local MAX_TIMEOUT = 2 ^ 31 -- milliseconds

-- Where a socket has its state, which is nobody's business; OpenResty has it there, too.
local STATE = 1

-- Blames the caller of the method that calls this.
local function bad_argument(number, name, why)
  error(format("bad argument #%d to '%s' (%s)", number, name, why), 3)
end

local function state_of(socket, name)
  local state = type(socket) == "table" and socket[STATE]
  if type(state) ~= "table" then
    local wanted = type(socket) == "table" and "socket" or "table"
    error(format("bad argument #1 to '%s' (%s expected, got %s)", name, wanted, type(socket)), 3)
  end
  return state
end

-- The message ends with how many arguments there are, and counts the socket.
local function check_count(count, least, most, message)
  if count < least or count > most then error(message .. count + 1, 3) end
end

local function expected(kind, value)
  return kind .. " expected, got " .. type(value)
end

-- Returns what Lua takes for a string as one.
local function as_string(value)
  if type(value) == "string" then return value end
  return type(value) == "number" and tostring(value) or nil
end

local function as_integer(value)
  local number = tonumber(value)
  return number and (number < 0 and ceil(number) or floor(number))
end

-- Returns milliseconds in seconds, those of `default` for 0, or nothing if it is no timeout.
local function as_timeout(milliseconds, default)
  local number = as_integer(milliseconds) or 0
  if number >= 0 and number < MAX_TIMEOUT then return number > 0 and number / 1000 or default end
end

-- Returns the number of a port, or nil and why it is none.
local function as_port(value)
  local number = as_integer(value)
  if number >= 0 and number <= 65535 then return number end
  return nil, format("bad port number: %d", number)
end

local function is_unix(host)
  return lower(sub(host, 1, 5)) == "unix:"
end

-- Returns the host and the port of an address such as 127.0.0.1, 127.0.0.1:80 or [::1]:80.
local function parse_address(text)
  local host, port = match(text, "^(%d+%.%d+%.%d+%.%d+):?(%d*)$")
  if not host then host, port = match(text, "^%[([%x:.]+)%]:?(%d*)$") end
  if not host then host = match(text, "^%x*:[%x:.]*$") end
  return host, tonumber(port) or 0
end

-- As OpenResty writes it.
local function number_as_string(number)
  if number >= -2 ^ 31 and number < 2 ^ 31 and number % 1 == 0 then return format("%d", number) end
  return format("%.14g", number)
end

-- Adds the strings in a list to the pieces. Returns how many these are, or nil and why
-- it is no such list.
local function flatten(list, pieces, count)
  local last = 0
  for key in next, list do
    if type(key) ~= "number" or key < 1 or key % 1 ~= 0 then
      return nil, "non-array table found"
    end
    if key > last then last = key end
  end
  for i = 1, last do
    local value = list[i]
    local kind = type(value)
    if kind == "table" then
      local why
      count, why = flatten(value, pieces, count)
      if not count then return nil, why end
    elseif kind == "string" or kind == "number" then
      count = count + 1
      pieces[count] = kind == "string" and value or number_as_string(value)
    else
      return nil, "bad data type " .. kind .. " found"
    end
  end
  return count
end

-- Returns what is sent for the argument of `send`, or nil and why it cannot be.
local function as_data(value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "table" then
    local pieces = {}
    local count, why = flatten(value, pieces, 0)
    if not count then return nil, why end
    return concat(pieces, "", 1, count)
  end
  if kind == "number" then return number_as_string(value) end
  if kind == "nil" or kind == "boolean" then return tostring(value) end
  return nil, "string, number, boolean, nil, or array table expected, got " .. kind
end

return {
  STATE = STATE,
  bad_argument = bad_argument, check_count = check_count, expected = expected,
  state_of = state_of, as_string = as_string, as_integer = as_integer, as_timeout = as_timeout,
  as_port = as_port, as_data = as_data, is_unix = is_unix, parse_address = parse_address,
}
