-- Compiles many patterns, which are not in Lua's memory: old ones are forgotten.
-- outcome: LuaTimeLimitError: time limit
-- or: LuaMemoryLimitError
local n = 0
while true do
  n = n + 1
  assert(ngx.re.find("a" .. n, "(?<name>a)" .. n, "jo") == 1)
  assert(ngx.re.match("a", ("(a)?"):rep(500) .. n, "jo") == nil)
end
