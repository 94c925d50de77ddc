-- Compiles large patterns, each of them new.
-- outcome: LuaTimeLimitError: time limit
local n = 0
while true do
  n = n + 1
  ngx.re.match("", ("(?:a{1,60}b{1,60})"):rep(300) .. n, "jo")
  ngx.re.match("", ("(?=a*b*)"):rep(4000) .. n, "jo")
  ngx.re.match("", ("("):rep(60000) .. n, "jo")
end
