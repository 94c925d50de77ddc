-- Writes what Lua passes to Python, as MessagePack, which msgspec reads. Tables
-- are read raw: no metamethod of a task ever runs here.

-- The smallest parts of the format (wire_*.lua), null and lists, how deep tables may
-- nest, and in a pool with limits what keeps them.
local wire, values, MAX_DEPTH, limits = ...

local concat, error = table.concat, error
local next, pcall, rawequal, rawget = next, pcall, rawequal, rawget
local type, unpack = type, table.unpack or unpack
local null, is_null, lists = values.null, values.is_null, values.lists
local show_key = values.show_key

local put_byte, put_number, put_string = wire.put_byte, wire.put_number, wire.put_string
local put_cdata, put_u32, take = wire.put_cdata, wire.put_u32, wire.take
local stitch = wire.stitch
local open_table, close_table = wire.open_table, wire.close_table

local LIST, MAP, EXTENSION = 0xdd, 0xdf, 0xd6 -- MessagePack's tags; the last with 4 bytes of ours
local SLICE = 2 ^ 16 -- bytes; what Python decodes in about a millisecond
local MAX_SIZE = 2 ^ 30 -- bytes
local MAX_STEPS = 20 -- of a path that a message shows
local NO_LIST_KEY = "not a key of a list, which has the keys 1 to n; null can fill a gap"

-- Where the value at hand is: in "result" number 1, and there by which keys of
-- which tables.
local direction, which
local path, parents = {}, {}

-- The way to what is in `depth` tables: "['users'][3]".
local function steps(depth)
  local names = {}
  for i = 1, depth do
    if i > MAX_STEPS then
      names[i] = "..."
      break
    end
    names[i] = show_key(path[i])
  end
  return concat(names)
end

-- What is raised for a value that cannot pass, and why it cannot: a text, or the
-- number of the limit that it exceeds.
local REFUSAL = {}
local reason

local why_over = limits and limits.why_over

-- How many bytes a message may have, and how many tables: to Python an empty one takes
-- more than that.
local MOST_BYTES = limits and limits.MEMORY_LIMIT or MAX_SIZE
local MOST_TABLES = limits and limits.MEMORY_LIMIT and limits.MEMORY_LIMIT / 64
local tables = 0

local function refuse(depth, why)
  local where = depth > 0 and steps(depth) .. ": " or ""
  reason = direction .. " " .. which .. ": " .. where .. why
  error(REFUSAL)
end

local function too_large()
  if MOST_BYTES == MAX_SIZE then refuse(0, "larger than 1 GiB") end
  reason = limits.MEMORY
  error(REFUSAL)
end

-- A message that is larger than a slice leaves in slices, so that Python can let
-- its event loop run between them. A slice holds some of the items of one table;
-- what belongs in that table's place is its number. Number 0 is the whole.
local slices, slice_count, table_count, sliced_size

-- Cuts off the items that have been written since the table was opened: all but
-- the first `before` of `count`. Returns the table's number.
local function cut(number, depth, at, from, tag, count, before)
  if not number then
    table_count = table_count + 1
    number = table_count
  end
  close_table(at, tag, count - before)
  local slice = take(at, from)
  sliced_size = sliced_size + #slice
  if sliced_size > MOST_BYTES then too_large() end
  reason = why_over and why_over()
  if reason then error(REFUSAL) end
  slice_count = slice_count + 1
  slices = slices or {}
  slices[slice_count] = { slice, number, direction, number > 0 and which, steps(depth), before }
  return number
end

-- Ends a table of which something has been cut off.
local function finish(number, depth, at, from, tag, count, before)
  cut(number, depth, at, from, tag, count, before)
  put_byte(EXTENSION)
  return put_u32(0, number)
end

local put_table

-- For a value in `depth` tables that is neither a string nor a number.
local function put_other(value, kind, depth)
  if kind == "table" and not rawequal(value, null) then
    return put_table(value, depth)
  elseif kind == "boolean" then
    return put_byte(value and 195 or 194)
  elseif kind == "nil" or is_null(value) then
    return put_byte(192)
  end
  local size = kind == "cdata" and put_cdata(value)
  if not size then refuse(depth, "cannot pass a " .. kind) end
  return size
end

local function put_key(key, t, depth)
  local kind = type(key)
  if kind == "number" then return put_number(key) end
  if kind ~= "boolean" then refuse(depth - 1, "cannot pass a " .. kind .. " as a key") end
  -- To Python True is 1 and False is 0, as keys of a dict too.
  if rawget(t, key and 1 or 0) ~= nil then
    refuse(depth - 1, "cannot pass both a boolean and its number as keys")
  end
  return put_byte(key and 195 or 194)
end

-- Puts what a table holds, as a LIST if the keys come as 1, 2, 3 ..., or as a MAP.
local function put_items(t, depth, at, from, tag)
  local count, before, number = 0, 0, nil
  local size = from
  for key, value in next, t do
    count = count + 1
    if tag == MAP then
      if type(key) == "string" then put_string(key) else put_key(key, t, depth) end
    end
    local kind = type(value)
    if kind == "string" then
      size = put_string(value)
    elseif kind == "number" then
      size = put_number(value)
    elseif kind == "boolean" then
      size = put_byte(value and 195 or 194)
    else
      path[depth] = key
      size = put_other(value, kind, depth)
    end
    if size - from > SLICE then
      number = cut(number, depth - 1, at, from, tag, count, before)
      before = count
      open_table()
    end
  end
  if number then return finish(number, depth - 1, at, from, tag, count, before) end
  close_table(at, tag, count)
  return size
end

-- Returns a table with the items of `t`, in order, if the keys are 1 to n; or
-- nothing and a key that does not belong there. A second look at the keys costs
-- less than to find out in the midst of writing: as often as tables nest.
local function items_of(t)
  local count, top, in_order = 0, 0, true
  for key in next, t do
    count = count + 1
    if key ~= count then
      if type(key) ~= "number" or key < 1 or key % 1 ~= 0 then return nil, key end
      if key > top then top = key end
      in_order = false
    end
  end
  if top > count then return nil, top end
  if in_order then return t end
  local items = {}
  for i = 1, count do items[i] = rawget(t, i) end
  return items
end

function put_table(t, depth)
  if depth == 0 then stitch() end
  for i = 1, depth do
    if rawequal(parents[i], t) then refuse(depth, "cannot pass a table that contains itself") end
  end
  if depth == MAX_DEPTH then
    refuse(depth, "cannot pass tables nested deeper than " .. MAX_DEPTH)
  end
  if MOST_TABLES then
    tables = tables + 1
    if tables > MOST_TABLES then too_large() end
  end
  depth = depth + 1
  parents[depth] = t
  local at, from = open_table()
  local items, other
  if rawget(t, 1) ~= nil then
    items, other = items_of(t)
  else
    other = next(t)
    if other == nil and lists[t] then items = t end
  end
  if not items and lists[t] then
    path[depth] = other
    refuse(depth, NO_LIST_KEY)
  end
  local size = put_items(items or t, depth, at, from, items and LIST or MAP)
  parents[depth] = nil
  return size
end

local function write_all(count, first, others)
  slices, slice_count, table_count, sliced_size = nil, 0, 0, 0
  local before = 0
  local at, from = open_table()
  for i = 1, count do
    which = i
    local value = first
    if i > 1 then value = others[i - 1] end
    local kind = type(value)
    local size
    if kind == "string" then
      size = put_string(value)
    elseif kind == "number" then
      size = put_number(value)
    else
      size = put_other(value, kind, 0)
    end
    if size - from > SLICE then
      cut(0, 0, at, from, LIST, i, before)
      before = i
      open_table()
    end
  end
  if slice_count == 0 then
    close_table(at, LIST, count)
    local packed = take(at, from)
    stitch()
    return packed
  end
  cut(0, 0, at, from, LIST, count, before)
  return true
end

-- Returns `count` values as one MessagePack list, or true if it waits in slices,
-- or nil and what is refused: "result 2: ['users'][3]: cannot pass a function".
-- Strings are text or bytes to Python.
local function write(what, as_text, count, first, ...)
  direction, tables = what, 0
  wire.start(as_text)
  local ok, packed = pcall(write_all, count, first, count > 1 and { ... } or nil)
  wire.stop()
  if path[1] ~= nil then path = {} end
  if ok then return packed end
  slices, parents = nil, {}
  if rawequal(packed, REFUSAL) then return nil, reason end
  reason = limits and limits.why_failed(packed)
  if reason then return nil, reason end
  return nil, direction .. ": " .. (type(packed) == "string" and packed or "an error")
end

local fetched = 0

-- Returns the next slice: its text, the number of its table, where that is (the
-- direction, which of the values, the way to it there), and how many items it got
-- before; or nothing if there is none. Or forgets them all.
local function fetch(forget)
  fetched = fetched + 1
  local slice = not forget and slices and slices[fetched]
  if not slice then
    slices, fetched = nil, 0
    return
  end
  slices[fetched] = nil
  return unpack(slice, 1, 6)
end

return write, fetch
