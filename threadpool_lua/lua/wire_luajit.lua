-- The bytes that cross between Python and Lua, on LuaJIT: the same functions as
-- wire_puc.lua has, which the compiler here makes machine code of.

local ffi = require("ffi")
local bor, lshift, rshift = bit.bor, bit.lshift, bit.rshift
local byte, sub = string.byte, string.sub
local copy, cast, istype, new = ffi.copy, ffi.cast, ffi.istype, ffi.new
local floor, huge = math.floor, math.huge
local error, tonumber = error, tonumber

assert(ffi.abi("le"), "a little-endian machine is needed")

local _M = {}

-- LuaJIT gives up compiling a function that leads into a loop, and the way back
-- from a loop through pcall; and what it has given up too often, it refuses to
-- compile as a part of anything else. But it compiles up to a call that it cannot
-- compile, and goes on after it. So there is such a call, for nothing, before the
-- first loop and after the last. It makes rows up to three times as fast.
_M.stitch = coroutine.running


----------------------------------------------------------------------- reading

local const_bytes = ffi.typeof("const uint8_t *")
local number = new("double[1]")

_M.HEAD, _M.DOUBLE = false, false -- string.unpack's formats elsewhere

function _M.head(_, wire, at)
  local tag, a, b, c, d = byte(wire, at, at + 4)
  return tag, bor(a, lshift(b, 8), lshift(c, 16), lshift(d, 24))
end

-- By ffi.copy, and not through a pointer to doubles: the compiler assumes that
-- bytes and doubles do not overlap, and would reuse the number of the loop's
-- last turn.
function _M.double(_, wire, at)
  local b7, b8 = byte(wire, at + 6, at + 7)
  if b7 >= 240 and b8 % 128 == 127 then
    -- Infinity or nan. LuaJIT tells its types apart by the bits of a nan, so
    -- one that is made elsewhere could be taken for any object.
    if sub(wire, at, at + 6) ~= "\0\0\0\0\0\0\240" then return 0 / 0 end
    return b8 == 127 and huge or -huge
  end
  copy(number, cast(const_bytes, wire) + (at - 1), 8)
  return number[0]
end

_M.new_table = package.preload["table.new"] and require("table.new") -- not in LuaJIT 2.0


----------------------------------------------------------------------- writing

local FIRST_CAPACITY = 2 ^ 10 -- bytes
local KEPT_CAPACITY = 2 ^ 18 -- bytes; a larger buffer does not outlive its message
local MAX_SIZE = 2 ^ 30 -- bytes
local MAX_INTEGER = 2 ^ 53

local new_buffer = ffi.typeof("uint8_t[?]")
local buffer, capacity, size = new_buffer(FIRST_CAPACITY), FIRST_CAPACITY, 0
local as_text

local function grow(needed)
  if needed > MAX_SIZE then error("larger than 1 GiB", 0) end
  local enough = capacity
  while enough < needed do enough = enough * 2 end
  local larger = new_buffer(enough) -- may fail for want of memory; all is as before then
  copy(larger, buffer, size)
  buffer, capacity = larger, enough
end

function _M.start(strings_are_text)
  as_text = strings_are_text
  size = 0
end

function _M.stop()
  if capacity > KEPT_CAPACITY then
    buffer, capacity = new_buffer(FIRST_CAPACITY), FIRST_CAPACITY
  end
end

local function put_u32(at, tag, n)
  buffer[at] = tag
  buffer[at + 1] = rshift(n, 24)
  buffer[at + 2] = rshift(n, 16)
  buffer[at + 3] = rshift(n, 8)
  buffer[at + 4] = n
end

local integer, unsigned = new("int64_t[1]"), new("uint64_t[1]")
local eight = new("uint8_t[8]")

local function put_eight(tag, what)
  copy(eight, what, 8)
  local at = size
  buffer[at] = tag
  buffer[at + 1], buffer[at + 2] = eight[7], eight[6]
  buffer[at + 3], buffer[at + 4] = eight[5], eight[4]
  buffer[at + 5], buffer[at + 6] = eight[3], eight[2]
  buffer[at + 7], buffer[at + 8] = eight[1], eight[0]
  size = at + 9
  return size
end

function _M.put_byte(b)
  if size + 1 > capacity then grow(size + 1) end
  buffer[size] = b
  size = size + 1
  return size
end

function _M.put_number(x)
  if size + 9 > capacity then grow(size + 9) end
  if x == floor(x) and x <= MAX_INTEGER and x >= -MAX_INTEGER and (x ~= 0 or 1 / x > 0) then
    if x >= 0 and x < 128 then
      buffer[size] = x
      size = size + 1
      return size
    elseif x >= -2147483648 and x < 2147483648 then
      put_u32(size, 0xd2, x)
      size = size + 5
      return size
    end
    integer[0] = x
    return put_eight(0xd3, integer)
  end
  number[0] = x
  return put_eight(0xcb, number)
end

-- For an int64_t or uint64_t; nil for any other object of the FFI.
function _M.put_cdata(x)
  if size + 9 > capacity then grow(size + 9) end
  if istype("int64_t", x) then
    integer[0] = x
    return put_eight(0xd3, integer)
  elseif istype("uint64_t", x) then
    unsigned[0] = x
    return put_eight(0xcf, unsigned)
  end
end

function _M.put_string(s)
  local length = #s
  local at = size
  if at + length + 5 > capacity then grow(at + length + 5) end
  if length < 32 and as_text then
    buffer[at] = 160 + length
    at = at + 1
  elseif length < 256 then
    buffer[at] = as_text and 0xd9 or 0xc4
    buffer[at + 1] = length
    at = at + 2
  else
    put_u32(at, as_text and 0xdb or 0xc6, length)
    at = at + 5
  end
  copy(buffer + at, s, length)
  size = at + length
  return size
end

function _M.put_u32(tag, n)
  if size + 5 > capacity then grow(size + 5) end
  put_u32(size, tag, n)
  size = size + 5
  return size
end

-- Leaves room for the head of a table; returns where that is, in the terms of
-- this file and in bytes. close_table fills it in.
function _M.open_table()
  local at = size
  if at + 5 > capacity then grow(at + 5) end
  size = at + 5
  return at, size
end

_M.close_table = put_u32

-- Where the bytes of a string are, for as long as something holds the string.
function _M.address(s)
  return tonumber(cast("intptr_t", cast(const_bytes, s)))
end

-- Removes and returns the table that was opened there, and all after it.
function _M.take(at)
  local taken = ffi.string(buffer + at, size - at)
  size = at
  return taken
end

return _M
