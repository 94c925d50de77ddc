-- Matches nothing at each place of a long text.
-- outcome: LuaTimeLimitError: time limit
local s = ("x"):rep(4000000)
local function count()
  local n = 0
  for _ in ngx.re.gmatch(s, "") do n = n + 1 end
  return n
end
while true do pcall(count) end
