-- Has `__tostring` return a table where ngx wants a text, for Python to look at.
-- outcome: LuaError: must return a string
local seen = {}
local trap = setmetatable({}, {
  __index = function(_, key) seen[#seen + 1] = type(key) end, __len = function() return 2 ^ 40 end,
})
for i = 1, 10 do rawset(trap, i, i) end
local value = setmetatable({}, { __tostring = function() return trap end })
local re = require "ngx.re"
for _, f in ipairs {
  ngx.md5, ngx.sha1_bin, ngx.crc32_long, ngx.encode_base64, ngx.escape_uri, ngx.unescape_uri,
  ngx.decode_base64, ngx.quote_sql_str, ngx.decode_args, ngx.parse_http_time, ngx.http_time,
  function(s) return ngx.re.find(s, "a") end, function(s) return ngx.re.find("a", s) end,
  function(s) return ngx.re.find("a", "a", s) end, function(s) return ngx.re.sub("a", "a", s) end,
  function(s) return re.split(s, ",") end, function(s) return ngx.hmac_sha1(s, "") end,
  ngx.sleep, function(s) return require("ngx.semaphore").new(s):wait(s) end,
} do
  assert(not pcall(f, value))
end
assert(#seen == 0, table.concat(seen, " "))
return ngx.md5(value)
