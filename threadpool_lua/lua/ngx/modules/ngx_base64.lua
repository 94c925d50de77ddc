-- The module "ngx.base64": Base64 as it is used in URLs.

local api = ...

local type = type
local spend, upcall = api.spend, api.upcall

local base64 = {}

function base64.encode_base64url(s)
  if type(s) ~= "string" then return nil, "must provide a string" end
  spend(#s)
  return upcall("encode_base64url", s)
end

function base64.decode_base64url(s)
  if type(s) ~= "string" then return nil, "must provide a string" end
  spend(#s)
  local decoded = upcall("decode_base64url", s)
  if not decoded then return nil, "invalid input" end
  return decoded
end

return base64
