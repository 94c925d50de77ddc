-- The module resty.string of lua-resty-string, whose own needs functions of nginx's.

local byte, find, format, gsub = string.byte, string.find, string.format, string.gsub
local tonumber = tonumber

local function to_hex(s)
  return (gsub(s, ".", function(c) return format("%02x", byte(c)) end))
end

-- Returns the number that a text of digits is, or nil and an error.
local function atoi(s)
  if not find(s, "^%d+$") then return nil, "not a number" end
  return tonumber(s)
end

return { to_hex = to_hex, atoi = atoi }
