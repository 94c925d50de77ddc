-- Signed cookies, which say who has logged in, and until when. A module as OpenResty
-- applications have them: it would run there as it is, with these in nginx.conf:
--
--   env SESSION_SECRET;
--   lua_shared_dict logins 1m;
--   lua_shared_dict revoked 1m;

local decode_base64, encode_base64 = ngx.decode_base64, ngx.encode_base64
local hmac_sha1, match, now = ngx.hmac_sha1, ngx.re.match, ngx.now
local logins, revoked = ngx.shared.logins, ngx.shared.revoked

local SECRET = assert(os.getenv("SESSION_SECRET"), "SESSION_SECRET is not set")
local LIFETIME = 3600 -- seconds
local MOST_LOGINS, WINDOW = 5, 60 -- of a user, within so many seconds
local COOKIE = [[^(?<payload>(?<user>[\w+/=]+)\.(?<expires>\d+))\.(?<mac>[\w+/=]+)$]]

local _M = { _VERSION = "1.0" }

local function sign(payload)
  return encode_base64(hmac_sha1(SECRET, payload))
end

-- Returns the parts of a valid cookie, or nil and why it is not valid.
local function read(cookie)
  local parts, err = match(cookie, COOKIE, "jo")
  if not parts then return nil, err or "malformed" end
  if parts.mac ~= sign(parts.payload) then return nil, "forged" end
  if tonumber(parts.expires) <= now() then return nil, "expired" end
  if revoked:get(parts.mac) then return nil, "logged out" end
  return parts
end

-- Returns a cookie for a user, or nil and why there is none.
function _M.login(user)
  local count, err = logins:incr(user, 1, 0, WINDOW)
  if not count then return nil, err end
  if count > MOST_LOGINS then
    ngx.log(ngx.WARN, user, " has logged in ", count, " times within ", WINDOW, " s")
    return nil, "too many logins"
  end
  local payload = encode_base64(user) .. "." .. ngx.time() + LIFETIME
  return payload .. "." .. sign(payload)
end

-- Returns the user whom a cookie was made for, or nil and why it is not valid.
function _M.user(cookie)
  local parts, err = read(cookie)
  if not parts then return nil, err end
  return decode_base64(parts.user)
end

-- Makes a cookie invalid. Returns true, or nil and why it is not valid anyway.
function _M.logout(cookie)
  local parts, err = read(cookie)
  if not parts then return nil, err end
  return revoked:set(parts.mac, true, parts.expires - now())
end

return _M
