-- A client of HTTP/1.1, over ngx.socket.tcp.

local M = {}

local function read_headers(socket)
  local headers = {}
  while true do
    local line = assert(socket:receive())
    if line == "" then return headers end
    local name, value = line:match("^([^:]+):%s*(.-)%s*$")
    headers[name:lower()] = value
  end
end

local function read_chunks(socket)
  local chunks = {}
  while true do
    local size = tonumber(assert(socket:receive()):match("^%x+"), 16)
    if size == 0 then
      read_headers(socket) -- The trailers are like them.
      return table.concat(chunks)
    end
    chunks[#chunks + 1] = assert(socket:receive(size))
    assert(socket:receive() == "")
  end
end

-- Requests a path; if a body is given, by POST. Returns a table with the status, the
-- headers and the body, and how often the connection was used before.
function M.request(port, path, body)
  local socket = ngx.socket.tcp()
  assert(socket:connect("127.0.0.1", port))
  assert(socket:send({
    body and "POST " or "GET ", path, " HTTP/1.1\r\nHost: localhost\r\n",
    body and { "Content-Length: ", #body, "\r\n" } or "", "\r\n", body or "",
  }))
  local status = tonumber(assert(socket:receive()):match("^HTTP/1%.1 (%d+)"))
  local headers = read_headers(socket)
  local response = { status = status, headers = headers, reused = socket:getreusedtimes() }
  if headers["transfer-encoding"] == "chunked" then
    response.body = read_chunks(socket)
  elseif headers["content-length"] then
    response.body = assert(socket:receive(tonumber(headers["content-length"])))
  else
    response.body = assert(socket:receive("*a"))
    return response
  end
  if headers.connection == "close" then socket:close() else assert(socket:setkeepalive()) end
  return response
end

return M
