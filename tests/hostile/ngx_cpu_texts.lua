-- Takes long texts apart in which each byte counts, and puts them together.
-- outcome: LuaTimeLimitError: time limit
-- or: LuaMemoryLimitError
local split = require("ngx.re").split
local s, list = ("\0%+"):rep(100000), ("a,"):rep(100000)
while true do
  ngx.unescape_uri(s)
  for kind = 0, 6 do ngx.escape_uri(s, kind) end
  ngx.quote_sql_str(s)
  ngx.encode_args(ngx.decode_args(("a=%20&b&"):rep(20000), 0))
  ngx.decode_args(("&"):rep(100000), -1)
  split(list, ",", "jo")
  split(list, "", nil, nil, 1e9)
  split(list, ",", nil, { pos = 1e9 })
end
