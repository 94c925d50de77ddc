-- Reads from a connection what is asked for, and keeps what has come beyond that: a reply
-- of many lines costs one pause.

local api = ...

local find, gsub, sub = string.find, string.gsub, string.sub
local concat, huge, min = table.concat, math.huge, math.min
local request, spend = api.request, api.spend

-- What is kept are the bytes of `state.unread` from `state.position` on.

-- Returns the next bytes that come, or nil and why none do.
local function fetch(state)
  state.is_reading = true
  local data, why = request("socket.read", state.number, state.read_timeout)
  state.is_reading = false
  return data, why
end

-- Returns what a method returns that could not read all it should.
local function unfinished(state, why, partial)
  if why ~= "timeout" then state.is_read_closed, state.unread = true, "" end
  return nil, why, partial
end

-- Reads so many bytes, or to the end if these are more than there will ever be.
local function read_bytes(state, size)
  local unread, position = state.unread, state.position
  if size <= #unread - position + 1 then
    state.position = position + size
    spend(size)
    return sub(unread, position, position + size - 1)
  end
  local pieces, count, left = { sub(unread, position) }, 1, size - (#unread - position + 1)
  state.unread, state.position = "", 1
  while left > 0 do
    local data, why = fetch(state)
    if not data then
      local partial = concat(pieces, "", 1, count)
      if why == "closed" and size == huge then return partial end
      return unfinished(state, why, partial)
    end
    spend(2 * #data) -- They will be put together.
    if #data > left then
      state.unread, state.position = data, left + 1
      data = sub(data, 1, left)
    end
    count = count + 1
    pieces[count] = data
    left = left - #data
  end
  return concat(pieces, "", 1, count)
end

-- Reads what there is, and no more than so many bytes.
local function read_any(state, most)
  local unread, position = state.unread, state.position
  if position > #unread then
    local why
    unread, why = fetch(state)
    if not unread then return unfinished(state, why, "") end
    position = 1
  end
  local last = min(#unread, position + most - 1)
  state.unread, state.position = unread, last + 1
  spend(last - position)
  return sub(unread, position, last)
end

-- Returns with how many bytes the text ends that may be the beginning of the delimiter.
local function beginning(text, position, delimiter)
  for size = min(#delimiter - 1, #text - position + 1), 1, -1 do
    if sub(text, -size) == sub(delimiter, 1, size) then return size end
  end
  return 0
end

-- Finds the delimiter among the first bytes that are kept. Returns the last one before
-- it, or before what may be its beginning; and its own last byte, if it is there.
local function seek(state, delimiter, limit)
  local text, position, skipped = state.unread, state.position, 0
  local window = limit + #delimiter - 1 -- To look further each time would take for ever.
  if window < #text - position then
    text, position, skipped = sub(text, position, position + window - 1), 1, position - 1
  end
  local first, last = find(text, delimiter, position, true)
  spend((last or #text) - position)
  if first then return skipped + first - 1, skipped + last end
  return skipped + #text - beginning(text, position, delimiter)
end

-- Reads up to the delimiter, which it takes as well; and at most so many bytes if there
-- is a limit. Returns them, and whether the delimiter was reached; or nil, why not, and
-- what was read.
local function read_until(state, delimiter, limit)
  local pieces, count = {}, 0
  while true do
    local unread, position = state.unread, state.position
    local before, last = seek(state, delimiter, limit)
    if before - position + 1 >= limit then before, last = position + limit - 1, nil end
    local piece = sub(unread, position, before)
    limit = limit - #piece
    state.position = (last or before) + 1
    if last or limit == 0 then
      if count == 0 then return piece, last ~= nil end
      pieces[count + 1] = piece
      return concat(pieces), last ~= nil
    end
    count = count + 1
    pieces[count] = piece
    local data, why = fetch(state)
    if not data then return unfinished(state, why, concat(pieces)) end
    state.unread, state.position = sub(unread, before + 1) .. data, 1
  end
end

-- As OpenResty: not only at the end of a line.
local function without_returns(line)
  if not find(line, "\r", 1, true) then return line end
  return (gsub(line, "\r", ""))
end

local function read_line(state)
  local line, why, partial = read_until(state, "\n", huge)
  if line then return without_returns(line) end
  return nil, why, without_returns(partial)
end

return {
  read_bytes = read_bytes, read_any = read_any, read_until = read_until, read_line = read_line,
}
