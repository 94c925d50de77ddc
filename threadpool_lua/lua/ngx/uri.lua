-- Escaping for URIs, and the arguments in them.

local api = ...

local error, next, select, setmetatable = error, next, select, setmetatable
local tonumber, type = tonumber, type
local text_of = api.text_of
local byte, char, find, format, gsub, sub = string.byte, string.char, string.find,
  string.format, string.gsub, string.sub
local concat, floor = table.concat, math.floor

local MAX_ARGS = 100 -- that decode_args takes, if it is not told

-- What is escaped, by the types of nginx.
local UNSAFE = {
  [0] = '[^!"$&->@-~]', -- in a URI
  '[^!"$&-*,->@-~]', -- in its arguments
  "[^!'-*%-.0-9A-Z_a-z~]", -- in a component of it
  "[^!$&(-~]", -- in HTML
  "[^!#-&(-~]", -- in a header "Refresh"
  "[^!-$&-\255]", -- in a key of memcached
  "[^!-$&-\255]", -- in what the auth server of nginx's mail proxy is told
}
local COMPONENT = 2

-- What is made of an unsafe character, and of the digits of an escaped one.
local escaped = setmetatable({}, {
  __index = function(t, c)
    t[c] = format("%%%02X", byte(c))
    return t[c]
  end,
})
local unescaped = setmetatable({}, {
  __index = function(t, digits)
    t[digits] = char(tonumber(digits, 16))
    return t[digits]
  end,
})

local function escape(s)
  return (gsub(s, UNSAFE[COMPONENT], escaped))
end

local function unescape(s)
  if not find(s, "[%%+]") then return s end
  return (gsub(gsub(s, "+", " "), "%%(%x%x)", unescaped))
end

local function escape_uri(s, kind)
  if type(s) ~= "string" then s = s and text_of(s) or "" end
  if kind == nil then return escape(s) end
  if type(kind) ~= "number" then error('"type" is not a number', 2) end
  local unsafe = UNSAFE[floor(kind)]
  if not unsafe then error('"type" ' .. kind .. " out of range", 2) end
  return (gsub(s, unsafe, escaped))
end

local function unescape_uri(s)
  if type(s) ~= "string" then s = s and text_of(s) or "" end
  return unescape(s)
end


------------------------------------------------------------------------- arguments

-- Returns "key=value", "key", or nothing.
local function encode_pair(key, value)
  local kind = type(value)
  if kind == "string" then return key .. "=" .. escape(value) end
  if kind == "number" then return key .. "=" .. escape(value .. "") end
  if kind ~= "boolean" then error("attempt to use " .. kind .. " as query arg value", 3) end
  return value and key or nil
end

local function encode_args(...)
  local count, args = select("#", ...), (...)
  if count ~= 1 then error("expecting 1 argument but seen " .. count, 2) end
  if type(args) ~= "table" then
    error("bad argument #1 to 'encode_args' (table expected, got " .. type(args) .. ")", 2)
  end
  local encoded = {}
  for key, value in next, args do
    if type(key) ~= "string" then
      error('attempt to use a non-string key in the "args" option table', 2)
    end
    local name = escape(key)
    if type(value) == "table" then
      for _, item in next, value do encoded[#encoded + 1] = encode_pair(name, item) end
    else
      encoded[#encoded + 1] = encode_pair(name, value)
    end
  end
  return concat(encoded, "&")
end

-- Takes "key=value" or "key" into a table. Of a key that comes again the values
-- become a list.
local function decode_pair(args, pair)
  local at = find(pair, "=", 1, true)
  local key, value = pair, true
  if at then key, value = sub(pair, 1, at - 1), unescape(sub(pair, at + 1)) end
  key = unescape(key)
  if key == "" then return end
  local before = args[key]
  if before == nil then
    args[key] = value
  elseif type(before) == "table" then
    before[#before + 1] = value
  else
    args[key] = { before, value }
  end
end

local function decode_args(...)
  local count = select("#", ...)
  if count ~= 1 and count ~= 2 then
    error("expecting 1 or 2 arguments but seen " .. count, 2)
  end
  local s, max = ...
  if type(s) == "number" then
    s = s .. ""
  elseif type(s) ~= "string" then
    error("bad argument #1 to 'decode_args' (string expected, got " .. type(s) .. ")", 2)
  end
  local most = MAX_ARGS
  if count == 2 then
    most = tonumber(max)
    if not most then
      error("bad argument #2 to 'decode_args' (number expected, got " .. type(max) .. ")", 2)
    end
    most = floor(most)
  end
  local args, first, seen = {}, 1, 0
  while true do
    local at = find(s, "&", first, true)
    if not at then break end
    decode_pair(args, sub(s, first, at - 1))
    first, seen = at + 1, seen + 1
    if seen == most then return args, "truncated" end
  end
  decode_pair(args, sub(s, first))
  return args
end

return {
  escape_uri = escape_uri, unescape_uri = unescape_uri,
  encode_args = encode_args, decode_args = decode_args,
}
