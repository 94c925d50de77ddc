-- Calls Python where the stack is full.
-- outcome: returns True
-- outcome on lua54: LuaTimeLimitError: time limit
-- or: returns True
local depth = 0
local function deeper()
  depth = depth + 1
  pcall(ngx.md5, "x")
  pcall(ngx.re.find, "x", "x")
  return (deeper()) -- no tail call
end
local ok = pcall(deeper)
return not ok and depth > 100 and ngx.md5("x") == "9dd4e461268c8034f5c8564e155c67a6"
