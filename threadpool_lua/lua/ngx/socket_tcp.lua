-- The sockets of ngx.socket.tcp. A method checks what it is given in the words of
-- OpenResty, and has the event loop do the rest.

local api = ...

local arguments, buffer = api.load("ngx/socket_arguments.lua"), api.load("ngx/socket_buffer.lua")

local error, rawequal, select, setmetatable = error, rawequal, select, setmetatable
local tonumber, tostring, type = tonumber, tostring, type
local format, sub, huge = string.format, string.sub, math.huge
local environment, request, upcall = api.environment, api.request, api.upcall
local bad_argument, check_count, expected = arguments.bad_argument, arguments.check_count,
  arguments.expected
local state_of, as_data, as_string = arguments.state_of, arguments.as_data, arguments.as_string
local as_integer, as_port, as_timeout = arguments.as_integer, arguments.as_port,
  arguments.as_timeout
local is_unix, parse_address = arguments.is_unix, arguments.parse_address
local read_any, read_bytes = buffer.read_any, buffer.read_bytes
local read_line, read_until = buffer.read_line, buffer.read_until

local TIMEOUT = 60 -- seconds
local IDLE_TIME = 60 -- seconds
local POOL_SIZE = 30

local WANTS_2 = "expecting 2 arguments (including the object), but got "

local tcp = {}


---------------------------------------------------------------------------- states

-- Of a socket: `number` is that of its connection, which Python has, while it has one;
-- `owner` the environment of the task that has connected it, even if it is closed now.

-- It is closed when that task ends, and of use to no other.
local function check_owner(state, level)
  if not rawequal(state.owner, environment()) then error("bad request", level or 3) end
end

-- Returns why a socket that is connected is busy.
local function why_busy(state, to_read, to_write)
  local what = state.is_connecting and "connecting" or to_read and state.is_reading and "reading"
    or to_write and state.is_writing and "writing"
  if not what then return nil end
  -- A light thread that was killed while it waited has taken the connection with it.
  if state.number and not request("socket.is_used", state.number) then
    state.number, state.is_connecting, state.is_reading, state.is_writing = nil, false, false, false
    return "closed"
  end
  return "socket busy " .. what
end

local function is_unconnected(state)
  return not state.number and not state.is_connecting
end

local function is_closed(state)
  return is_unconnected(state) or state.is_read_closed and state.is_write_closed
end

-- Returns why a socket cannot be read from, or written to.
local function why_not(state, to_read, to_write)
  if is_unconnected(state) or to_read and state.is_read_closed
    or to_write and state.is_write_closed then
    return "closed"
  end
  check_owner(state, 4)
  return why_busy(state, to_read, to_write)
end


------------------------------------------------------------------------ connecting

function tcp.bind(self, ...)
  local state = state_of(self, "bind")
  check_count(select("#", ...), 1, 2, "expecting 2 or 3 arguments, but got ")
  local text, port = ...
  if select("#", ...) == 2 then
    if not tonumber(port) then
      return nil, "expecting port to be a number but got type: " .. type(port)
    end
    local why
    port, why = as_port(port)
    if not port then return nil, why end
  end
  text = as_string(text) or bad_argument(1, "bind", expected("string", text))
  local host, own_port = parse_address(text)
  if not host then return nil, "bad address" end
  state.local_host, state.local_port = host, port or own_port
  return true
end

local function bad_option(number, option, what, value)
  error(format("bad argument #%d to 'connect' (bad \"%s\" option %s: %s)", number, option, what,
    tostring(value)), 4)
end

-- Returns the name, the size and the backlog of the pool that the options are about, or
-- nil for what they do not say.
local function pool_options(options, number)
  local name, size, backlog = options.pool, options.pool_size, as_integer(options.backlog)
  if size ~= nil then
    size = as_integer(size) or bad_option(number, "pool_size", "type", type(size))
    if size <= 0 then bad_option(number, "pool_size", "value", size) end
  end
  if backlog then
    if backlog < 0 then bad_option(number, "backlog", "value", backlog) end
    size = size or POOL_SIZE
  end
  if name ~= nil then
    name = as_string(name) or bad_option(number, "pool", "type", type(name))
  end
  return name, size, backlog
end

function tcp.connect(self, ...)
  local state = state_of(self, "connect")
  local count = select("#", ...)
  check_count(count, 1, 3,
    "ngx.socket connect: expecting 2, 3, or 4 arguments (including the object), but seen ")
  local host, port = ...
  host = as_string(host) or bad_argument(1, "connect", expected("string", host))
  local options = select(count, ...)
  local key, size, backlog
  if type(options) == "table" then key, size, backlog = pool_options(options, count) end
  local why
  if tonumber(port) then
    port, why = as_port(port)
    if not port then return nil, why end
    key = key or host .. ":" .. port
  elseif is_unix(host) then
    key, port = key or host, 0
  else
    return nil, "missing the port number"
  end
  if state.owner then
    check_owner(state)
    why = why_busy(state, true, true)
    if why and why ~= "closed" then return nil, why end
  end
  local number, old = upcall("number"), state.number or 0
  state.owner, state.key, state.number = environment(), key, nil
  state.unread, state.position = "", 1
  state.is_read_closed, state.is_write_closed, state.is_connecting = false, false, true
  local reused
  reused, why = request("socket.connect", number, old, key, size or 0, backlog,
    state.connect_timeout, host, port, state.local_host, state.local_port)
  state.is_connecting = false
  if not reused then return nil, why end
  state.number, state.reused = number, reused
  return 1
end

function tcp.setclientcert(self, certificate, key)
  state_of(self, "setclientcert")
  if not certificate and not key then return true end
  if not certificate or not key then
    return nil, "client certificate must be supplied with corresponding private key"
  end
  return nil, "client certificates are not supported in a thread pool"
end

function tcp.sslhandshake(self, session, server_name, verify, send_status_request, ...)
  if select("#", ...) > 0 then
    error("ngx.socket sslhandshake: expecting 1 ~ 5 arguments (including the object), but seen "
      .. 5 + select("#", ...), 2)
  end
  local state = state_of(self, "sslhandshake")
  if not state.owner then error("socket is never created nor connected", 2) end
  local why = why_not(state, true, true)
  if why then return nil, why end
  if send_status_request then return nil, "no OCSP support" end
  if server_name then
    server_name = as_string(server_name)
      or bad_argument(2, "sslhandshake", expected("string", server_name))
  end
  state.is_connecting = true
  local ok
  ok, why = request("socket.handshake", state.number, server_name or nil, not not verify,
    state.connect_timeout)
  state.is_connecting = false
  if ok then return session or true end
  state.number = nil
  return nil, why
end


--------------------------------------------------------------- sending and receiving

function tcp.send(self, ...)
  local state = state_of(self, "send")
  check_count(select("#", ...), 1, 1, WANTS_2)
  local why = why_not(state, false, true)
  if why then return nil, why end
  local data
  data, why = as_data((...))
  if not data then bad_argument(1, "send", why) end
  if data == "" then return 0 end
  state.is_writing = true
  local ok
  ok, why = request("socket.write", state.number, data, state.send_timeout)
  state.is_writing = false
  if ok then return #data end
  state.is_write_closed = true
  return nil, why
end

function tcp.receive(self, ...)
  local state = state_of(self, "receive")
  check_count(select("#", ...), 0, 1,
    "expecting 1 or 2 arguments (including the object), but got ")
  local why = why_not(state, true, false)
  if why then return nil, why end
  if select("#", ...) == 0 then return read_line(state) end
  local what = ...
  local size = as_integer(what)
  if size then
    if size < 0 then bad_argument(1, "receive", "bad number argument") end
    return read_bytes(state, size)
  end
  if what == "*l" then return read_line(state) end
  if what == "*a" then return read_bytes(state, huge) end
  if type(what) ~= "string" then bad_argument(1, "receive", "bad argument") end
  local is_other = #what == 2 and sub(what, 1, 1) == "*"
  bad_argument(1, "receive", "bad pattern argument" .. (is_other and "" or ": " .. what))
end

function tcp.receiveany(self, ...)
  local state = state_of(self, "receiveany")
  check_count(select("#", ...), 1, 1, WANTS_2)
  local why = why_not(state, true, false)
  if why then return nil, why end
  local most = as_integer((...))
  if not most or most <= 0 then bad_argument(1, "receiveany", "bad max argument") end
  return read_any(state, most)
end

function tcp.receiveuntil(self, ...)
  local state = state_of(self, "receiveuntil")
  check_count(select("#", ...), 1, 2,
    "expecting 2 or 3 arguments (including the object), but got ")
  local delimiter, options = ...
  local is_inclusive
  if select("#", ...) == 2 then
    if type(options) ~= "table" then
      bad_argument(2, "receiveuntil", expected("table", options))
    end
    is_inclusive = options.inclusive
    if is_inclusive ~= nil and type(is_inclusive) ~= "boolean" then
      error('bad "inclusive" option value type: ' .. type(is_inclusive), 2)
    end
  end
  delimiter = as_string(delimiter)
    or bad_argument(1, "receiveuntil", expected("string", delimiter))
  if delimiter == "" then return nil, "pattern is empty" end

  local is_over = false -- which the caller, who reads by parts, has still to be told

  return function(...)
    local count = select("#", ...)
    if count > 1 then error("expecting 0 or 1 arguments, but seen " .. count, 2) end
    local limit = huge
    if count == 1 then
      limit = as_integer((...)) or bad_argument(1, "?", expected("number", (...)))
      if limit <= 0 then limit = huge end
    end
    local why = why_not(state, true, false)
    if why then return nil, why end
    if is_over then
      is_over = false
      return nil, nil, nil
    end
    local data, reached, partial = read_until(state, delimiter, limit)
    if not data then return nil, reached, partial end
    if not reached then return data end
    is_over = limit ~= huge
    return is_inclusive and data .. delimiter or data
  end
end


--------------------------------------------------------------------------- settings

function tcp.settimeout(self, ...)
  local state = state_of(self, "settimeout")
  check_count(select("#", ...), 1, 1,
    "ngx.socket settimeout: expecting 2 arguments (including the object) but seen ")
  local timeout = as_timeout((...), TIMEOUT) or error("bad timeout value", 2)
  state.connect_timeout, state.send_timeout, state.read_timeout = timeout, timeout, timeout
end

function tcp.settimeouts(self, ...)
  local state = state_of(self, "settimeouts")
  check_count(select("#", ...), 3, 3,
    "ngx.socket settimeouts: expecting 4 arguments (including the object) but seen ")
  local connect, send, read = ...
  connect, send, read = as_timeout(connect, TIMEOUT), as_timeout(send, TIMEOUT),
    as_timeout(read, TIMEOUT)
  if not (connect and send and read) then error("bad timeout value", 2) end
  state.connect_timeout, state.send_timeout, state.read_timeout = connect, send, read
end

local OPTIONS = {
  keepalive = true, reuseaddr = true, ["tcp-nodelay"] = true, sndbuf = true, rcvbuf = true,
}

-- Returns why there is no such option.
local function why_no_option(state, option)
  if not state.owner then error("socket is never created nor connected", 3) end
  if option == nil then return 'missing the "option" argument' end
  if not OPTIONS[option] then return "unsupported option " .. tostring(option) end
  if not state.number then return "closed" end
  check_owner(state, 4)
end

function tcp.getoption(self, option)
  local state = state_of(self, "getoption")
  local why = why_no_option(state, option)
  if why then return nil, why end
  local value
  value, why = request("socket.option", state.number, option)
  if value then return value end
  return nil, why
end

function tcp.setoption(self, option, value)
  local state = state_of(self, "setoption")
  local why = why_no_option(state, option)
  if why then return nil, why end
  if value == nil then return nil, 'missing the "value" argument' end
  local number = type(value) == "boolean" and (value and 1 or 0) or as_integer(value)
    or bad_argument(2, "setoption", expected("number", value))
  local ok
  ok, why = request("socket.option", state.number, option, number)
  if ok then return true end
  return nil, why
end


------------------------------------------------------------------------------- ends

function tcp.close(self, ...)
  local state = state_of(self, "close")
  check_count(select("#", ...), 0, 0, "expecting 1 argument (including the object) but seen ")
  if is_closed(state) then return nil, "closed" end
  check_owner(state)
  local why = why_busy(state, true, true)
  if why then return nil, why end
  local number = state.number
  state.number = nil
  local ok
  ok, why = request("socket.close", number)
  if ok then return 1 end
  return nil, why
end

function tcp.getreusedtimes(self, ...)
  local state = state_of(self, "getreusedtimes")
  check_count(select("#", ...), 0, 0, "expecting 1 argument (including the object), but got ")
  if is_closed(state) then return nil, "closed" end
  return state.reused
end

function tcp.setkeepalive(self, ...)
  local state = state_of(self, "setkeepalive")
  check_count(select("#", ...), 0, 2,
    "expecting 1 to 3 arguments (including the object), but got ")
  local milliseconds, size = ...
  local idle_time = IDLE_TIME
  if milliseconds ~= nil then
    idle_time = as_integer(milliseconds)
      or bad_argument(1, "setkeepalive", expected("number", milliseconds))
    idle_time = idle_time > 0 and idle_time / 1000 or 0
  end
  if size == nil then
    size = POOL_SIZE
  else
    size = as_integer(size) or bad_argument(2, "setkeepalive", expected("number", size))
    if size <= 0 then
      bad_argument(2, "setkeepalive", format('bad "pool_size" option value: %d', size))
    end
  end
  local why = why_not(state, true, true)
  if why then return nil, why end
  if state.position <= #state.unread then return nil, "unread data in buffer" end
  local ok
  ok, why = request("socket.keep", state.number, state.key, size, idle_time)
  if ok or why ~= "closed" then state.number = nil end
  if ok then return 1 end
  return nil, why
end

local tcp_mt = { __index = tcp, __metatable = false }

-- Returns a new socket.
return function()
  return setmetatable({
    [arguments.STATE] = {
      connect_timeout = TIMEOUT, send_timeout = TIMEOUT, read_timeout = TIMEOUT,
    },
  }, tcp_mt)
end
