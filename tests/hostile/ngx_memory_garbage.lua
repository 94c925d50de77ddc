-- Makes garbage of what Python returns: that is no reason to be ended.
-- outcome: returns True
local s = ("x"):rep(2 ^ 19)
for i = 1, 40 do
  s = s .. i
  local encoded = ngx.encode_base64(s)
  assert(ngx.decode_base64(encoded) == s)
end
return true
