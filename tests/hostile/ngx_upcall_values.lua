-- Gives functions that Python runs all that they do not expect.
-- outcome: returns True
local semaphore, base64 = require "ngx.semaphore", require "ngx.base64"
local odd = {
  0 / 0, 1 / 0, -1 / 0, 2 ^ 53, -2 ^ 63, 1e308, -0.0, 0.5, true, false, {}, type, null, "",
  "\0", "a\0b", "\255\254", ("x"):rep(70000), coroutine.running(), list {}, host, ngx,
  setmetatable({}, { __tostring = function() return "a\0b" end, __index = error, __len = error }),
  setmetatable({}, { __tostring = function() return 7 end, __concat = error, __lt = error }),
  setmetatable({}, { __tostring = error, __call = error, __eq = error }),
}
local sema = semaphore.new(0)
local functions = {
  ngx.encode_base64, ngx.decode_base64, ngx.decode_base64mime, base64.encode_base64url,
  base64.decode_base64url, ngx.md5, ngx.md5_bin, ngx.sha1_bin, ngx.hmac_sha1, ngx.crc32_short,
  ngx.crc32_long, ngx.http_time, ngx.cookie_time, ngx.parse_http_time, ngx.escape_uri,
  ngx.unescape_uri, ngx.encode_args, ngx.decode_args, ngx.quote_sql_str, ngx.re.match, ngx.re.find,
  ngx.re.gmatch, ngx.re.sub, ngx.re.gsub, require("ngx.re").split, require("ngx.re").opt,
  require("resty.random").bytes, semaphore.new, ngx.thread.wait, ngx.thread.kill, ngx.get_phase,
  function(n) return sema:post(n) end, function(n) return sema:wait(n == 0 / 0 and n or 0) end,
  function(n) if type(n) ~= "number" or n < 0 or n ~= n then ngx.sleep(n) end end,
  function(n) ngx.re.match("abc", "b", "", { pos = n }) end,
  function(n) ngx.re.find("abc", "(b)", "", nil, n) end,
  function(n) require("ngx.re").split("a,b", ",", "", nil, n) end,
}
for _, f in ipairs(functions) do
  pcall(f)
  for i = 1, #odd do
    pcall(f, odd[i])
    pcall(f, odd[i], odd[#odd - i + 1])
    pcall(f, "a", odd[i])
    pcall(f, "a", "a", odd[i])
    pcall(f, "a", "a", "a", odd[i])
  end
end
return ngx.md5("a\0b") == "70350f6027bce3713f6b76473084309b"
