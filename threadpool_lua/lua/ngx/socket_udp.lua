-- The sockets of ngx.socket.udp.

local api = ...

local arguments = api.load("ngx/socket_arguments.lua")

local error, rawequal, select, setmetatable = error, rawequal, select, setmetatable
local environment, request, upcall = api.environment, api.request, api.upcall
local bad_argument, check_count, expected = arguments.bad_argument, arguments.check_count,
  arguments.expected
local state_of, as_data, as_string = arguments.state_of, arguments.as_data, arguments.as_string
local as_integer, as_port, as_timeout = arguments.as_integer, arguments.as_port,
  arguments.as_timeout
local parse_address = arguments.parse_address

local TIMEOUT = 60 -- seconds
local LARGEST = 65536 -- bytes

local udp = {}

-- Returns why a socket cannot be used.
local function why_not(state)
  if not state.number then return "closed" end
  if not rawequal(state.owner, environment()) then error("bad request", 3) end
  if state.is_busy then return "socket busy" end
end

function udp.bind(self, ...)
  local state = state_of(self, "bind")
  check_count(select("#", ...), 1, 1, "expecting 2 arguments, but got ")
  local text = as_string((...)) or bad_argument(1, "bind", expected("string", (...)))
  local host, port = parse_address(text)
  if not host then return nil, "bad address" end
  state.local_host, state.local_port = host, port
  return 1
end

function udp.setpeername(self, ...)
  local state = state_of(self, "setpeername")
  check_count(select("#", ...), 1, 2,
    "ngx.socket.udp setpeername: expecting 2 or 3 arguments (including the object), but seen ")
  local host, port = ...
  host = as_string(host) or bad_argument(1, "setpeername", expected("string", host))
  local why
  if select("#", ...) == 2 then
    if not as_integer(port) then bad_argument(2, "setpeername", expected("number", port)) end
    port, why = as_port(port)
    if not port then return nil, why end
  end
  if state.owner and not rawequal(state.owner, environment()) then error("bad request", 2) end
  if state.is_busy then return nil, "socket busy" end
  local number, old = upcall("number"), state.number or 0
  state.owner, state.number, state.is_busy = environment(), nil, true
  local ok
  ok, why = request("socket.set_peer", number, old, host, port or 0, state.local_host,
    state.local_port)
  state.is_busy = false
  if not ok then return nil, why end
  state.number = number
  return 1
end

function udp.send(self, ...)
  local state = state_of(self, "send")
  check_count(select("#", ...), 1, 1, "expecting 2 arguments (including the object), but got ")
  local why = why_not(state)
  if why then return nil, why end
  local data
  data, why = as_data((...))
  if not data then bad_argument(1, "send", why) end
  local ok
  ok, why = request("socket.send", state.number, data)
  if ok then return 1 end
  return nil, why
end

function udp.receive(self, ...)
  local state = state_of(self, "receive")
  check_count(select("#", ...), 0, 1,
    "expecting 1 or 2 arguments (including the object), but got ")
  local why = why_not(state)
  if why then return nil, why end
  local size = ...
  if size == nil then
    size = LARGEST
  else
    size = as_integer(size) or bad_argument(1, "receive", expected("number", size))
    if size < 0 or size > LARGEST then size = LARGEST end
  end
  state.is_busy = true
  local data
  data, why = request("socket.receive", state.number, size, state.read_timeout)
  state.is_busy = false
  if data then return data end
  return nil, why
end

function udp.settimeout(self, ...)
  local state = state_of(self, "settimeout")
  check_count(select("#", ...), 1, 1, "ngx.socket settimeout: expecting at least 2 arguments "
    .. "(including the object) but seen ")
  state.read_timeout = as_timeout((...), TIMEOUT) or TIMEOUT
end

function udp.close(self, ...)
  local state = state_of(self, "close")
  check_count(select("#", ...), 0, 0, "expecting 1 argument (including the object) but seen ")
  local why = why_not(state)
  if why then return nil, why end
  local number = state.number
  state.number = nil
  local ok
  ok, why = request("socket.close", number)
  if ok then return 1 end
  return nil, why
end

local udp_mt = { __index = udp, __metatable = false }

-- Returns a new socket.
return function()
  return setmetatable({ [arguments.STATE] = { read_timeout = TIMEOUT } }, udp_mt)
end
