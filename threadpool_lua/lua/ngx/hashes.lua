-- Hashes and checksums, of strings and of whatever else has a text.

local api = ...

local error, select, type = error, select, type
local spend, text_of, upcall = api.spend, api.text_of, api.upcall

local function hash(name)
  return function(s)
    if type(s) ~= "string" then s = s and text_of(s) or "" end
    spend(#s)
    return upcall(name, s)
  end
end

local function text(value, number)
  local kind = type(value)
  if kind == "number" then return value .. "" end
  if kind == "string" then return value end
  error("bad argument #" .. number .. " to 'hmac_sha1' (string expected, got " .. kind .. ")", 3)
end

local function hmac_sha1(...)
  local count = select("#", ...)
  if count ~= 2 then error("expecting 2 arguments, but got " .. count, 2) end
  local key, s = ...
  key, s = text(key, 1), text(s, 2)
  spend(#key + #s)
  return upcall("hmac_sha1", key, s)
end

return {
  md5 = hash("md5"), md5_bin = hash("md5_bin"), sha1_bin = hash("sha1_bin"),
  crc32_short = hash("crc32"), crc32_long = hash("crc32"), -- differ in speed only
  hmac_sha1 = hmac_sha1,
}
