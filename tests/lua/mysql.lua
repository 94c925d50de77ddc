-- A client of MariaDB that sends queries as a user without a password, over ngx.socket.tcp.

local M = {}
M.__index = M

local char, rep = string.char, string.rep

local function number(data, position, size)
  local value = 0
  for i = size - 1, 0, -1 do value = value * 256 + data:byte(position + i) end
  return value
end

local function bytes(value, size)
  local list = {}
  for i = 1, size do
    list[i] = char(value % 256)
    value = (value - value % 256) / 256
  end
  return table.concat(list)
end

function M:read_packet()
  local header = assert(self.socket:receive(4))
  self.sequence = header:byte(4)
  return assert(self.socket:receive(number(header, 1, 3)))
end

function M:send_packet(data)
  assert(self.socket:send({ bytes(#data, 3), char((self.sequence + 1) % 256), data }))
end

-- Reads a string that begins with its length, or null. Returns it, and what comes next.
local function read_string(data, position)
  local size = data:byte(position)
  if size == 251 then return ngx.null, position + 1 end
  local after = position + 1
  if size > 251 then
    local width = ({ [252] = 2, [253] = 3, [254] = 8 })[size]
    size, after = number(data, after, width), after + width
  end
  return data:sub(after, after + size - 1), after + size
end

-- Connects to a host and port, or to a path.
function M.connect(...)
  local socket = assert(ngx.socket.connect(...))
  local self = setmetatable({ socket = socket }, M)
  self:read_packet() -- the server's greeting
  local PROTOCOL_41, SECURE_CONNECTION, WITH_DATABASE = 0x200, 0x8000, 0x8
  self:send_packet(bytes(PROTOCOL_41 + SECURE_CONNECTION + WITH_DATABASE, 4)
    .. bytes(2 ^ 24 - 1, 4) .. char(33) .. rep("\0", 23) .. "root\0" .. "\0" .. "test\0")
  local answer = self:read_packet()
  if answer:byte() == 254 then -- Another way to authenticate, which needs no more than this.
    self:send_packet("")
    answer = self:read_packet()
  end
  if answer:byte() == 255 then return nil, answer:sub(10) end
  return self
end

-- Returns a list of rows, which are lists of strings; or nil and the server's error.
function M:query(text)
  self.sequence = 255
  self:send_packet(char(3) .. text)
  local answer = self:read_packet()
  if answer:byte() == 255 then return nil, answer:sub(10) end
  local columns = answer:byte()
  if columns == 0 then return {} end
  for _ = 1, columns + 1 do self:read_packet() end -- and one that ends them
  local rows = {}
  while true do
    local packet = self:read_packet()
    if packet:byte() == 254 and #packet < 9 then return rows end
    local row, position = {}, 1
    for i = 1, columns do row[i], position = read_string(packet, position) end
    rows[#rows + 1] = row
  end
end

return M
