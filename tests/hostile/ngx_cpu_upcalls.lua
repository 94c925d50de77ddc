-- Has Python, which no hook interrupts, do long and short work for ever, and catches everything.
-- outcome: LuaTimeLimitError: time limit
local random = require("resty.random").bytes
local s = ("ab"):rep(1000000)
local encoded = ngx.encode_base64(s)
local times = { ("a"):rep(2500000), "Thu," .. (" "):rep(2500000), ("Thu, 18 "):rep(200000) }
local function work()
  for _, time in ipairs(times) do assert(ngx.parse_http_time(time) == nil) end
  for _, f in ipairs {
    ngx.md5, ngx.crc32_long, ngx.decode_base64, ngx.decode_base64mime, ngx.sha1_bin,
  } do
    f(encoded)
  end
  ngx.hmac_sha1(s, s)
  for _ = 1, 100 do
    pcall(ngx.now)
    pcall(ngx.md5, "x")
    pcall(random, 2 ^ 20)
    pcall(ngx.http_time, 0 / 0)
  end
end
while true do pcall(work) end
