-- Base64, and its form for MIME messages. That for URLs is in modules/ngx_base64.lua.

local api = ...

local error, type = error, type
local spend, text_of, upcall = api.spend, api.text_of, api.upcall

local function encode_base64(s, no_padding)
  if type(s) ~= "string" then s = s and text_of(s) or "" end
  if no_padding and no_padding ~= true then
    error("bad no_padding: boolean expected, got " .. type(no_padding), 2)
  end
  spend(#s)
  return upcall("encode_base64", s, no_padding or false)
end

local function decoder(name)
  return function(s)
    if type(s) ~= "string" then error("string argument only", 2) end
    spend(#s)
    return upcall(name, s)
  end
end

return {
  encode_base64 = encode_base64,
  decode_base64 = decoder("decode_base64"), decode_base64mime = decoder("decode_base64mime"),
}
