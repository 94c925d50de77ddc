-- ngx.socket: OpenResty's cosockets. The event loop connects, writes, and hands over
-- what has come; in here it becomes lines, replies and errors.

local api = ...

local error, phase, select = error, api.phase, select

local new_tcp = api.load("ngx/socket_tcp.lua")
local new_udp = api.load("ngx/socket_udp.lua")

local function check(count)
  if count > 0 then error("expecting zero arguments, but got " .. count, 3) end
  if phase() == "init" then error("API disabled in the context of init_by_lua*", 3) end
end

local socket = {}

function socket.tcp(...)
  check(select("#", ...))
  return (new_tcp())
end

socket.stream = socket.tcp

function socket.connect(...)
  check(0)
  local made = new_tcp()
  local ok, why = made:connect(...)
  if ok then return made end
  return nil, why
end

function socket.udp(...)
  check(select("#", ...))
  return (new_udp())
end

return { socket = socket }
