-- A client of Redis, over ngx.socket.tcp: the protocol RESP, version 2.

local M = {}
M.__index = M

function M.connect(options)
  local socket = ngx.socket.tcp()
  socket:settimeout(10000)
  local ok, why = socket:connect("127.0.0.1", 6379, options)
  if not ok then return nil, why end
  return setmetatable({ socket = socket }, M)
end

local function encode(...)
  local pieces = { "*", select("#", ...), "\r\n" }
  for i = 1, select("#", ...) do
    local argument = tostring((select(i, ...)))
    pieces[#pieces + 1] = { "$", #argument, "\r\n", argument, "\r\n" }
  end
  return pieces
end

-- Reads a reply. An error is nil and a text.
function M:reply()
  local line, why = self.socket:receive()
  if not line then return nil, why end
  local kind, rest = line:sub(1, 1), line:sub(2)
  if kind == "+" then return rest end
  if kind == "-" then return nil, rest end
  if kind == ":" then return tonumber(rest) end
  local size = tonumber(rest)
  if size == -1 then return ngx.null end
  if kind == "$" then
    local data = self.socket:receive(size)
    self.socket:receive(2)
    return data
  end
  local items = {}
  for i = 1, size do items[i] = self:reply() end
  return items
end

function M:send(...)
  return self.socket:send(encode(...))
end

function M:call(...)
  local _, why = self:send(...)
  if why then return nil, why end
  return self:reply()
end

-- Sends all commands at once, and returns a list of the replies.
function M:pipeline(commands)
  local unpack = table.unpack or unpack
  local pieces, replies = {}, {}
  for i, command in ipairs(commands) do pieces[i] = encode(unpack(command)) end
  assert(self.socket:send(pieces))
  for i = 1, #commands do replies[i] = self:reply() end
  return replies
end

return M
