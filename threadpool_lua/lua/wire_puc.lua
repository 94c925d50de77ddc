-- The bytes that cross between Python and Lua, on the implementations by
-- PUC-Rio: the smallest parts of Python's marshal format, which are read, and
-- of MessagePack, which are written. What they mean is in values.lua.

local byte, char, sub = string.byte, string.char, string.sub
local concat, floor, huge = table.concat, math.floor, math.huge
local string_unpack = string.unpack
local error = error

local MAX_SIZE = 2 ^ 30 -- bytes
local MAX_INTEGER = 2 ^ 53

local CHAR = {}
for b = 0, 255 do CHAR[b] = char(b) end

local _M = {}

function _M.stitch() end -- for the compiler of LuaJIT


----------------------------------------------------------------------- reading

-- head(HEAD, wire, at) returns a byte and the signed 32-bit integer after it:
-- most values are both or less. double(DOUBLE, wire, at) returns a double.
-- The numbers are little-endian.

if string_unpack then
  _M.HEAD, _M.head = "<Bi4", string_unpack
  _M.DOUBLE, _M.double = "<d", string_unpack

else
  _M.HEAD, _M.DOUBLE = false, false

  function _M.head(_, wire, at)
    local tag, a, b, c, d = byte(wire, at, at + 4)
    local n = a + b * 256 + c * 65536 + d * 16777216
    return tag, n < 2147483648 and n or n - 4294967296
  end

  -- IEEE 754 by hand.
  local ldexp = math.ldexp

  function _M.double(_, wire, at)
    local b1, b2, b3, b4, b5, b6, b7, b8 = byte(wire, at, at + 7)
    local sign = b8 < 128 and 1 or -1
    local exponent = b8 % 128 * 16 + floor(b7 / 16)
    local mantissa = ((b7 % 16 * 256 + b6) * 256 + b5) * 256 + b4
    mantissa = ((mantissa * 256 + b3) * 256 + b2) * 256 + b1
    if exponent == 2047 then
      return mantissa == 0 and sign * huge or 0 / 0
    elseif exponent == 0 then
      return sign * ldexp(mantissa, -1074)
    end
    return sign * ldexp(mantissa + 2 ^ 52, exponent - 1075)
  end
end

-- Makes a table with room for so many items and fields, or is nil.
_M.new_table = table.create


----------------------------------------------------------------------- writing

-- The pieces of the message, their number, and their size in bytes, which all
-- functions that put something return.
local out, count, size = {}, 0, 0
local as_text

function _M.start(strings_are_text)
  as_text = strings_are_text
end

function _M.stop()
  out, count, size = {}, 0, 0
end

-- pack(FORMAT, tag, n), with one of these formats, returns both as bytes. And
-- subtype(x) is "integer" for what becomes an int.
local U32, I32, I64, DOUBLE = ">BI4", ">Bi4", ">Bi8", ">Bd"
local pack, subtype = string.pack, math.type

if not pack then
  function subtype(x)
    return x == floor(x) and x <= MAX_INTEGER and x >= -MAX_INTEGER and (x ~= 0 or 1 / x > 0)
      and "integer"
  end

  local function pack_u32(tag, n)
    return char(tag, floor(n / 16777216), floor(n / 65536) % 256, floor(n / 256) % 256, n % 256)
  end

  -- IEEE 754 by hand.
  local frexp, ldexp = math.frexp, math.ldexp

  local function pack_double(tag, x)
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
    local octets = { CHAR[tag], CHAR[sign + floor(exponent / 16)] }
    for i = 9, 4, -1 do
      octets[i] = CHAR[mantissa % 256]
      mantissa = floor(mantissa / 256)
    end
    octets[3] = CHAR[exponent % 16 * 16 + mantissa]
    return concat(octets)
  end

  function pack(form, tag, n)
    if form == DOUBLE then return pack_double(tag, n) end
    if form ~= I64 then return pack_u32(tag, n % 4294967296) end
    local high = floor(n / 4294967296)
    return pack_u32(tag, high % 4294967296) .. sub(pack_u32(0, n - high * 4294967296), 2)
  end
end

function _M.put_byte(b)
  count = count + 1
  out[count] = CHAR[b]
  size = size + 1
  return size
end

function _M.put_number(x)
  count = count + 1
  if subtype(x) ~= "integer" then
    out[count] = pack(DOUBLE, 0xcb, x)
  elseif x >= 0 and x < 128 then
    out[count] = CHAR[x]
  elseif x >= -2147483648 and x < 2147483648 then
    out[count] = pack(I32, 0xd2, x)
  else
    out[count] = pack(I64, 0xd3, x)
  end
  size = size + 9 -- at most; it is only for cutting a message in slices
  return size
end

function _M.put_string(s)
  local length = #s
  if length < 32 and as_text then
    out[count + 1] = CHAR[160 + length]
  elseif length < 256 then
    out[count + 1] = (as_text and "\217" or "\196") .. CHAR[length]
  else
    if length > MAX_SIZE then error("larger than 1 GiB", 0) end
    out[count + 1] = pack(U32, as_text and 0xdb or 0xc6, length)
  end
  count = count + 2
  out[count] = s
  size = size + length + 5
  return size
end

function _M.put_u32(tag, n)
  count = count + 1
  out[count] = pack(U32, tag, n)
  size = size + 5
  return size
end

-- Leaves room for the head of a table; returns where that is, in the terms of
-- this file and in bytes. close_table fills it in.
function _M.open_table()
  count = count + 1
  out[count] = ""
  size = size + 5
  return count, size
end

function _M.close_table(at, tag, n)
  out[at] = pack(U32, tag, n)
end

-- Removes and returns the table that was opened there, and all after it.
function _M.take(at, from)
  local taken = concat(out, "", at, count)
  count, size = at - 1, from - 5
  return taken
end

return _M
