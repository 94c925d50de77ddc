-- What crosses between Python and Lua, and how: the Lua half of _values.py.
--
-- Each direction uses the wire form that Python itself handles fastest and most
-- strictly: Python writes its own marshal format (version 3), which `read`
-- takes apart; `write` makes MessagePack, which msgspec reads. Tables are read
-- raw: no metamethod of a task ever runs here.

-- How deep tables may nest, and whether Lua strings become str (or else bytes).
local MAX_DEPTH, AS_TEXT = ...

local byte, char, format = string.byte, string.char, string.format
local reverse, sub = string.reverse, string.sub
local concat, floor, huge = table.concat, math.floor, math.huge
local error, getmetatable, next, pcall = error, getmetatable, next, pcall
local rawequal, rawget, rawset, select = rawequal, rawget, rawset, select
local setmetatable, tostring, type = setmetatable, tostring, type
local string_pack, string_unpack, math_type = string.pack, string.unpack, math.type

local MAX_INTEGER = 2 ^ 53 -- beyond it a double no longer holds every integer
local MAX_STRING = 2 ^ 32 - 1 -- bytes; the longest string that MessagePack can announce

-- Stands for Python's None inside a table, where nil cannot be.
local null = setmetatable({}, {
  __tostring = function() return "null" end,
  __newindex = function() error("null cannot be changed", 2) end,
  __metatable = false,
})

-- Marks a table as a list even where it is empty.
local list_mt = { __name = "list" }

local _M = { null = null, list_mt = list_mt }


------------------------------------------------------------------------ doubles

local read_double -- (string, position) -> the little-endian double there
local write_double -- (number) -> 8 bytes, big-endian

local has_ffi, ffi = pcall(require, "ffi")

if string_pack then
  read_double = function(s, p) return (string_unpack("<d", s, p)) end
  write_double = function(x) return string_pack(">d", x) end

elseif has_ffi and ffi.abi("le") then
  -- By ffi.copy and ffi.string, and not through a pointer to bytes: the compiler
  -- assumes that bytes and doubles do not overlap, and would reuse the number
  -- of the loop's last turn.
  local number = ffi.new("double[1]")
  local pointer = ffi.typeof("const uint8_t *")

  read_double = function(s, p)
    local b7, b8 = byte(s, p + 6, p + 7)
    if b7 >= 240 and b8 % 128 == 127 then
      -- Infinity or nan. LuaJIT tells its types apart by the bits of a nan, so
      -- one that is made elsewhere could be taken for any object.
      if sub(s, p, p + 6) ~= "\0\0\0\0\0\0\240" then return 0 / 0 end
      return b8 == 127 and huge or -huge
    end
    ffi.copy(number, ffi.cast(pointer, s) + (p - 1), 8)
    return number[0]
  end

  write_double = function(x)
    number[0] = x
    return reverse(ffi.string(number, 8))
  end

else
  -- IEEE 754 by hand, for the implementations that have neither.
  local frexp, ldexp = math.frexp, math.ldexp

  read_double = function(s, p)
    local b1, b2, b3, b4, b5, b6, b7, b8 = byte(s, p, p + 7)
    local sign = b8 < 128 and 1 or -1
    local exponent = b8 % 128 * 16 + floor(b7 / 16)
    local mantissa = b7 % 16
    for _, b in next, { b6, b5, b4, b3, b2, b1 } do mantissa = mantissa * 256 + b end
    if exponent == 2047 then
      return mantissa == 0 and sign * huge or 0 / 0
    elseif exponent == 0 then
      return sign * ldexp(mantissa, -1074)
    end
    return sign * ldexp(mantissa + 2 ^ 52, exponent - 1075)
  end

  write_double = function(x)
    local sign, exponent, mantissa = 0, 0, 0
    if x < 0 or (x == 0 and 1 / x < 0) then sign, x = 128, -x end
    if x ~= x then
      exponent, mantissa = 2047, 2 ^ 51
    elseif x == huge then
      exponent = 2047
    elseif x > 0 then
      mantissa, exponent = frexp(x)
      exponent = exponent + 1022
      if exponent > 0 then
        mantissa = (mantissa * 2 - 1) * 2 ^ 52
      else -- subnormal
        mantissa, exponent = ldexp(mantissa, 52 + exponent), 0
      end
    end
    local octets = {}
    for i = 8, 3, -1 do
      octets[i] = char(mantissa % 256)
      mantissa = floor(mantissa / 256)
    end
    octets[2] = char(exponent % 16 * 16 + mantissa)
    octets[1] = char(sign + floor(exponent / 16))
    return concat(octets)
  end
end


-------------------------------------------------------------- from Python: read

-- The wire and the position in it, whether Python has checked the types of what
-- is in it, and the objects that later parts of it may refer to. One state runs
-- one thing at a time, and reading never yields, so variables serve as well as
-- a reader object.
local wire, position, checked, references, reference_count

local UNFINISHED = {} -- a reference to a list or dict that is still being read

local function read_u32()
  local a, b, c, d = byte(wire, position, position + 3)
  position = position + 4
  return a + b * 256 + c * 65536 + d * 16777216
end

local function read_i32()
  local n = read_u32()
  return n < 2147483648 and n or n - 4294967296
end

local function read_string()
  local size = read_u32()
  local from = position
  position = from + size
  return sub(wire, from, position - 1)
end

-- Python writes large integers as digits of 15 bits, least significant first,
-- their number negative for a negative integer.
local function read_long()
  local count = read_i32()
  local digits = count < 0 and -count or count
  if digits > 5 then error("integer") end
  local n, top, digit = 0, 0, 0
  for i = digits - 1, 0, -1 do
    local a, b = byte(wire, position + 2 * i, position + 2 * i + 1)
    digit = a + b * 256
    if i == digits - 1 then top = digit end
    n = n * 32768 + digit
  end
  position = position + 2 * digits
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

local function read_list(depth)
  local count = read_u32()
  if count == 0 then return setmetatable({}, list_mt) end
  local list = {}
  for i = 1, count do
    local value = read_value(depth)
    if value == nil then value = null end
    list[i] = value
  end
  return list
end

local function read_dict(depth)
  local dict = {}
  while byte(wire, position) ~= 48 do -- "0" ends a dict
    local key = read_value(depth)
    local kind = type(key)
    -- A table is no key (a copy could never be looked up), nor is None or nan,
    -- and two keys that are one in Lua ("a" and b"a") must not hide each other.
    if kind == "nil" or kind == "table" or key ~= key or dict[key] ~= nil then error("key") end
    local value = read_value(depth)
    if value == nil then value = null end
    dict[key] = value
  end
  position = position + 1
  return dict
end

local function read_table(tag, depth)
  if depth == MAX_DEPTH then error("depth") end
  if tag == 123 then return read_dict(depth + 1) end
  return read_list(depth + 1)
end

-- An object that Python's side refers to more than once is written once, and
-- referred to by its number from then on.
local function read_reference()
  local value = references[read_u32() + 1]
  if value == UNFINISHED then error("cycle") end
  return value
end

local function read_scalar(tag)
  if tag == 117 or tag == 116 then return read_string() -- "u", "t"
  elseif tag == 105 then return read_i32() -- "i"
  elseif tag == 103 then -- "g"
    position = position + 8
    return read_double(wire, position - 8)
  elseif tag == 78 then return nil -- "N"
  elseif tag == 84 then return true -- "T"
  elseif tag == 70 then return false -- "F"
  elseif tag == 108 then return read_long() -- "l"
  elseif tag == 115 and checked then return read_string() -- "s"
  end
  -- "s" is how marshal writes bytes, and the memory of a number of NumPy's too.
  error("type")
end

function read_value(depth)
  local tag = byte(wire, position)
  position = position + 1
  if tag == 114 then return read_reference() end -- "r"
  local reference
  if tag >= 128 then
    tag = tag - 128
    reference = reference_count + 1
    reference_count = reference
    references[reference] = UNFINISHED
  end
  local value
  if tag == 123 or tag == 91 or tag == 40 then -- "{", "[", "("
    value = read_table(tag, depth)
  else
    value = read_scalar(tag)
  end
  if reference then references[reference] = value end
  return value
end

-- Returns a list of arguments and their number, or raises: Python then checks
-- the types of all values, and says which one it is or has them read as checked.
function _M.read(packed, is_checked)
  wire, position, checked = packed, 1, is_checked
  references, reference_count = {}, 0
  if byte(packed) >= 128 then -- the tuple of arguments, with a number of its own
    reference_count = 1
    references[1] = UNFINISHED
  end
  position = 2
  local count = read_u32()
  local list = {}
  for i = 1, count do rawset(list, i, read_value(0)) end
  wire, references = nil, nil
  return list, count
end


---------------------------------------------------------------- to Python: write

local STRING_TAGS = AS_TEXT and { 0xd9, 0xda, 0xdb } or { 0xc4, 0xc5, 0xc6 }

-- The message so far, and the way from the result to the value at hand: keys
-- and the tables that hold them, by depth.
local out, size
local path, parents = {}, {}

local function refuse(depth, why)
  local names = {}
  for i = 1, depth do
    local key = path[i]
    names[i] = type(key) == "string" and format("['%s']", key) or format("[%s]", tostring(key))
  end
  error({ refused = concat(names) .. (depth > 0 and ": " or "") .. why })
end

local function put(piece)
  size = size + 1
  out[size] = piece
end

local function u16(n)
  return char(floor(n / 256), n % 256)
end

local function u32(n)
  return char(floor(n / 16777216), floor(n / 65536) % 256, floor(n / 256) % 256, n % 256)
end

local function put_integer(x)
  if x >= 0 and x < 128 then
    put(char(x))
  elseif x < 0 and x >= -32 then
    put(char(256 + x))
  elseif x >= -2147483648 and x < 2147483648 then
    put("\210" .. u32(x % 4294967296))
  elseif string_pack then
    put(string_pack(">Bi8", 0xd3, x))
  else
    local high = floor(x / 4294967296)
    put("\211" .. u32(high % 4294967296) .. u32(x - high * 4294967296))
  end
end

local function put_number(x)
  local integral
  if math_type then
    integral = math_type(x) == "integer"
  else
    integral = x == floor(x) and x <= MAX_INTEGER and x >= -MAX_INTEGER and (x ~= 0 or 1 / x > 0)
  end
  if integral then
    put_integer(x)
  else
    put("\203" .. write_double(x))
  end
end

local function put_string(s, depth)
  local length = #s
  if length < 32 and AS_TEXT then
    put(char(160 + length) .. s)
  elseif length < 256 then
    put(char(STRING_TAGS[1], length) .. s)
  elseif length < 65536 then
    put(char(STRING_TAGS[2]) .. u16(length))
    put(s)
  elseif length <= MAX_STRING then
    put(char(STRING_TAGS[3]) .. u32(length))
    put(s)
  else
    refuse(depth, "cannot pass a string of 4 GiB or more")
  end
end

local put_value

-- How many entries a table has, and whether they are a list: the keys 1..n.
local function measure(t)
  local count, top = 0, 0
  for key in next, t do
    count = count + 1
    if top then
      if type(key) == "number" and key >= 1 and key == floor(key) then
        if key > top then top = key end
      else
        top = nil
      end
    end
  end
  if count == 0 then return 0, rawequal(getmetatable(t), list_mt) end
  return count, top == count
end

local function put_table(t, depth)
  for i = 1, depth do
    if rawequal(parents[i], t) then refuse(depth, "cannot pass a table that contains itself") end
  end
  if depth == MAX_DEPTH then
    refuse(depth, format("cannot pass tables nested deeper than %d", MAX_DEPTH))
  end
  local count, is_list = measure(t)
  if is_list then
    put(count < 16 and char(0x90 + count) or "\221" .. u32(count))
  else
    put(count < 16 and char(0x80 + count) or "\223" .. u32(count))
  end
  depth = depth + 1
  parents[depth] = t
  if is_list then
    for i = 1, count do
      path[depth] = i
      put_value(t[i], depth)
    end
  else
    for key, value in next, t do
      path[depth] = key
      local kind = type(key)
      if kind == "string" then
        put_string(key, depth)
      elseif kind == "number" then
        put_number(key)
      elseif kind == "boolean" then
        -- To Python True is 1 and False is 0, as keys of a dict too.
        if rawget(t, key and 1 or 0) ~= nil then
          refuse(depth, "cannot pass both a boolean and its number as keys")
        end
        put(key and "\195" or "\194")
      else
        refuse(depth, format("cannot pass a %s as a key", kind))
      end
      put_value(value, depth)
    end
  end
  parents[depth] = nil
end

function put_value(value, depth)
  local kind = type(value)
  if kind == "string" then
    put_string(value, depth)
  elseif kind == "number" then
    put_number(value)
  elseif kind == "boolean" then
    put(value and "\195" or "\194")
  elseif kind == "nil" or rawequal(value, null) then
    put("\192")
  elseif kind == "table" then
    put_table(value, depth)
  else
    refuse(depth, format("cannot pass a %s", kind))
  end
end

-- Returns the values as one MessagePack list, or nil and what is refused:
-- "result 2: ['users'][3]: cannot pass a function".
function _M.write(what, ...)
  local results, count = { ... }, select("#", ...)
  out, size = {}, 0
  put("\221" .. u32(count))
  for i = 1, count do
    local ok, why = pcall(put_value, results[i], 0)
    if not ok then
      out, parents = nil, {}
      if type(why) ~= "table" then why = { refused = tostring(why) } end
      return nil, format("%s %d: %s", what, i, why.refused)
    end
  end
  local packed = concat(out)
  out = nil
  return packed
end

return _M
