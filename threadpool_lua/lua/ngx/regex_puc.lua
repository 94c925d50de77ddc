-- PCRE2 through Python (_ngx/regex.py), with the functions of regex_ffi.lua, for the
-- implementations that have no FFI.

local api = ...

local upcall = api.upcall

local byte, gmatch, tonumber = string.byte, string.gmatch, tonumber
local string_unpack = string.unpack

local MOST = 1024 -- matches that are looked for ahead

local _M = {}

-- The signed 32-bit integer at a place of a message of Python's.
local integer

if string_unpack then
  function integer(message, at)
    return (string_unpack("<i4", message, at))
  end
else
  function integer(message, at)
    local a, b, c, d = byte(message, at, at + 3)
    local n = a + b * 256 + c * 65536 + d * 16777216
    return n < 2147483648 and n or n - 4294967296
  end
end

function _M.compile(pattern, mode)
  local captures, text, at = upcall("regex.compile", pattern, mode.bits)
  if not captures then return nil, text, at end
  local names
  if text ~= "" then
    names = {}
    for number, name in gmatch(text, "(%d+) (%S+)") do
      names[#names + 1] = tonumber(number)
      names[#names + 1] = name
    end
  end
  return {
    pattern = pattern, captures = captures, names = names, size = 0,
    record_size = mode.dfa and 16 or 8 * (captures + 2),
  }
end

function _M.free() end -- Python has a cache of its own.

-- The matches of a message, in records: where the search began, PCRE's number for the
-- outcome, and the offsets.
local matches, record = nil, 1

-- With the table `ahead`, which one loop over all matches of a subject owns, several are
-- asked for at once, more each time: the subject is copied for each question.
function _M.match(regex, mode, subject, start, last, limit, options, ahead)
  local most = 1
  if ahead then
    if ahead.matches then
      local following = ahead.record + regex.record_size
      if following < #ahead.matches and integer(ahead.matches, following) == start then
        matches, record, ahead.record = ahead.matches, following, following
        return integer(matches, record + 4)
      end
    end
    most = ahead.most or 4
    ahead.most = most < MOST and most * 4 or MOST
  end
  matches = upcall("regex.match", regex.pattern, mode.bits, mode.dfa, subject, start,
    last, limit, options, most)
  record = 1
  if ahead then ahead.matches, ahead.record = matches, 1 end
  return integer(matches, record + 4)
end

function _M.offset(i)
  return integer(matches, record + 8 + 4 * i)
end

-- Patterns are not compiled any further here: passing them to Python takes longer.
function _M.set_jit_stack_size()
  return true
end

return _M
