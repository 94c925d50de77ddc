-- Reads what Python passes to Lua: its own marshal format, version 4, which it
-- writes faster than any other, and only from values of exactly the built-in
-- types. Damaged bytes are an error, never more.

-- The smallest parts of the format (wire_*.lua), null and lists, and how deep
-- tables may nest.
local wire, values, MAX_DEPTH = ...

local error, find, pcall, sub = error, string.find, pcall, string.sub
local math_type, tostring, type = math.type, tostring, type
local null, list = values.null, values.list

local MAX_INTEGER = 2 ^ 53 -- beyond it a double no longer holds every integer

local HEAD, head, DOUBLE, double = wire.HEAD, wire.head, wire.DOUBLE, wire.double
local new_table, stitch = wire.new_table, wire.stitch

local FOOT = 5 -- bytes after the values, so that every one has five; an integer 0
local REFERENCES_AHEAD = 8 -- that a message gets room for
local MAX_FIELDS_AHEAD = 16 -- that a table gets room for because the one before it had them

-- The message and the position in it, whether Python has checked the types of
-- what is in it, and the objects that later parts of it may refer to. One state
-- runs one thing at a time, and reading never yields, so variables serve as
-- well as a reader object.
local message, position, checked, references, reference_count

-- How many levels deep the lists and dicts are that can be referred to, and the
-- deepest level so far in the one that is being read.
local heights, deepest
local fields_ahead = 0

local UNFINISHED = {} -- a reference to a list or dict that is still being read

-- Python writes large integers as digits of 15 bits, least significant first,
-- their number negative for a negative integer.
local function read_long(count)
  local digits = count < 0 and -count or count
  if digits > 5 then error("integer") end
  local n, top, digit = 0, 0, 0
  for i = digits - 1, 0, -1 do
    local low, high = head(HEAD, message, position + 5 + 2 * i)
    digit = low + high % 256 * 256
    if i == digits - 1 then top = digit end
    n = n * 32768 + digit
  end
  position = position + 5 + 2 * digits
  if math_type then
    -- 60 bits fit; a fifth digit may add the last three, and -2^63 is alone.
    if digits == 5 and top >= 8 and not (count < 0 and n == math.mininteger and top == 8) then
      error("integer")
    end
  elseif n > MAX_INTEGER or (n == MAX_INTEGER and digit ~= 0) then -- 2^53 + 1 was rounded
    error("integer")
  end
  return count < 0 and -n or n
end

local read_value

local function read_list(count, depth)
  if count == 0 then return list() end
  -- Every item takes a byte at least.
  if count < 0 or count > #message - position then error("damaged") end
  local items = new_table and new_table(count, 0) or {}
  for i = 1, count do
    local value = read_value(depth)
    if value == nil then value = null end
    items[i] = value
  end
  return items
end

local function read_dict(depth)
  local dict = new_table and new_table(0, fields_ahead) or {}
  local count = 0
  while true do
    local tag, n = head(HEAD, message, position)
    if tag == 48 then break end -- "0" ends a dict
    local key
    if tag == 114 then
      position = position + 5
      key = references[n + 1]
    else
      key = read_value(depth)
    end
    -- A table is no key (a copy could never be looked up), nor is None or nan,
    -- and two keys that are one in Lua ("a" and b"a") must not hide each other.
    local kind = type(key)
    if kind ~= "string" and (kind == "nil" or kind == "table" or key ~= key) then error("key") end
    if dict[key] ~= nil then error("key") end
    local value = read_value(depth)
    if value == nil then value = null end
    dict[key] = value
    count = count + 1
  end
  position = position + 1
  -- Rows are alike: the next dict will have as many.
  fields_ahead = count < MAX_FIELDS_AHEAD and count or MAX_FIELDS_AHEAD
  return dict
end

-- Text with a surrogate in it has no UTF-8.
local function read_text(size)
  if size < 0 then error("damaged") end
  local from = position + 5
  position = from + size
  local text = sub(message, from, position - 1)
  if find(text, "\237", 1, true) and find(text, "\237[\160-\191]") then error("surrogate") end
  return text
end

local function read_sized(tag, n, depth)
  if tag == 123 or tag == 91 or tag == 40 or tag == 41 then -- "{", "[", "(", ")"
    if depth == 0 then stitch() end
    if depth == MAX_DEPTH then error("depth") end
    if depth >= deepest then deepest = depth + 1 end
    if tag == 123 then
      position = position + 1
      return read_dict(depth + 1)
    elseif tag == 41 then -- a tuple whose size is one byte
      position = position + 2
      return read_list(n % 256, depth + 1)
    end
    position = position + 5
    return read_list(n, depth + 1)
  elseif tag == 117 or tag == 116 then -- "u", "t"
    return read_text(n)
  elseif tag == 97 or tag == 65 or (tag == 115 and checked) then -- "a", "A": ASCII; "s"
    -- "s" is how marshal writes bytes, and the memory of a number of NumPy's too.
    if n < 0 then error("damaged") end
    local from = position + 5
    position = from + n
    return sub(message, from, position - 1)
  elseif tag == 108 then -- "l"
    return read_long(n)
  end
  error("type")
end

function read_value(depth)
  local at = position
  local tag, n = head(HEAD, message, at)
  if tag == 114 then -- "r": an object that was written before, by its number
    position = at + 5
    local value = references[n + 1]
    if value == nil then error("damaged") end
    if value == UNFINISHED then error("cycle") end
    if heights and heights[value] then
      local bottom = depth + heights[value]
      if bottom > MAX_DEPTH then error("depth") end
      if bottom > deepest then deepest = bottom end
    end
    return value
  end
  local reference
  if tag >= 128 then -- it may be referred to
    tag = tag - 128
    reference = reference_count + 1
    reference_count = reference
    references[reference] = UNFINISHED
  end
  local value
  if tag == 122 or tag == 90 then -- "z", "Z": short ASCII
    position = at + 2 + n % 256
    value = sub(message, at + 2, position - 1)
  elseif tag == 105 then -- "i"
    position = at + 5
    value = n
  elseif tag == 103 then -- "g"
    position = at + 9
    value = double(DOUBLE, message, at + 1)
  elseif tag == 84 or tag == 70 then -- "T", "F"
    position = at + 1
    value = tag == 84
  elseif tag == 78 then -- "N"
    position = at + 1
    return nil
  elseif reference then
    local before = deepest
    deepest = depth
    value = read_sized(tag, n, depth)
    if deepest > depth then
      heights = heights or {}
      heights[value] = deepest - depth
    end
    if before > deepest then deepest = before end
  else
    return read_sized(tag, n, depth)
  end
  if reference then references[reference] = value end
  return value
end

local function read_all()
  references, reference_count = new_table and new_table(REFERENCES_AHEAD, 0) or {}, 0
  deepest = 0
  -- The tuple of the tuple of values and the foot; either may have a number, too.
  if head(HEAD, message, 1) >= 128 then reference_count = 1 end
  position = 3
  local tag, count = head(HEAD, message, position)
  if tag >= 128 then
    tag = tag - 128
    reference_count = reference_count + 1
  end
  for i = 1, reference_count do references[i] = UNFINISHED end
  if tag == 41 then
    count = count % 256
    position = position + 2
  else
    position = position + 5
  end
  if count < 0 or count > #message - position then error("damaged") end
  local items = new_table and new_table(count, 0) or {}
  for i = 1, count do items[i] = read_value(0) end
  if position ~= #message - FOOT + 1 then error("damaged") end
  stitch()
  return items, count
end

-- Returns a list of values and their number. If not all can be read, it is nil
-- and a short reason: Python then checks the types of all values, and says which
-- one it is or has them read as checked.
local function read(packed, is_checked)
  message, checked = packed, is_checked
  local ok, items, count = pcall(read_all)
  message, references, heights = nil, nil, nil
  if ok then return items, count end
  return nil, tostring(items)
end

return read
