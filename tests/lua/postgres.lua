-- A client of PostgreSQL that sends simple queries, over ngx.socket.tcp. The arithmetic
-- of its password is Python's: host.scram_begin and host.scram_prove.

local M = {}
M.__index = M

local char = string.char

local function int32(value)
  local list = {}
  for i = 4, 1, -1 do
    list[i] = char(value % 256)
    value = (value - value % 256) / 256
  end
  return table.concat(list)
end

local function number(data, position, size)
  local value = 0
  for i = 0, size - 1 do value = value * 256 + data:byte(position + i) end
  return value
end

function M:read_message()
  local head = assert(self.socket:receive(5))
  local size = number(head, 2, 4) - 4
  return head:sub(1, 1), size == 0 and "" or assert(self.socket:receive(size))
end

function M:send_message(kind, body)
  assert(self.socket:send({ kind, int32(#body + 4), body }))
end

local function message_of(body)
  local _, before = body:find("\0M", 1, true)
  return body:sub(before + 1, body:find("\0", before, true) - 1)
end

function M:authenticate(password)
  local OK, SASL, SASL_CONTINUE, SASL_FINAL = 0, 10, 11, 12
  while true do
    local kind, body = self:read_message()
    if kind == "E" then return nil, message_of(body) end
    assert(kind == "R")
    local step = number(body, 1, 4)
    if step == OK then return true end
    if step == SASL then
      local first = host.scram_begin()
      self:send_message("p", "SCRAM-SHA-256\0" .. int32(#first) .. first)
    elseif step == SASL_CONTINUE then
      self:send_message("p", host.scram_prove(password, body:sub(5)))
    else
      assert(step == SASL_FINAL, "unknown authentication")
    end
  end
end

function M.connect(address, port, user, password, database)
  local self = setmetatable({ socket = assert(ngx.socket.connect(address, port)) }, M)
  local VERSION_3 = 196608
  self:send_message("", int32(VERSION_3)
    .. "user\0" .. user .. "\0database\0" .. database .. "\0\0")
  local ok, why = self:authenticate(password)
  if not ok then return nil, why end
  repeat local kind = self:read_message() until kind == "Z"
  return self
end

-- Returns a list of rows, which are lists of strings; or nil and the server's error.
function M:query(text)
  self:send_message("Q", text .. "\0")
  local rows, failure = {}, nil
  while true do
    local kind, body = self:read_message()
    if kind == "Z" then
      if failure then return nil, failure end
      return rows
    elseif kind == "E" then
      failure = message_of(body)
    elseif kind == "D" then
      local row, position = {}, 3
      for i = 1, number(body, 1, 2) do
        local size = number(body, position, 4)
        position = position + 4
        if size == 2 ^ 32 - 1 then
          row[i] = ngx.null
        else
          row[i] = body:sub(position, position + size - 1)
          position = position + size
        end
      end
      rows[#rows + 1] = row
    end
  end
end

return M
