-- Has to-be-closed variables of light threads pause, begin others, fail and spin.
-- outcome: returns True
-- outcome on lua54: returns True
-- or: LuaTimeLimitError: time limit
local code = [[
  local what = ...
  local x <close> = setmetatable({}, { __close = what })
  ngx.sleep(3600)
]]
local run = load(code)
if not run then return true end
for _, what in ipairs {
  function() ngx.sleep(1) end, function() error("no") end,
  function() ngx.thread.spawn(ngx.sleep, 1) end,
  function() ngx.thread.kill(coroutine.running()) end, function() error(setmetatable({}, {})) end,
  function() coroutine.yield() end, function() require("ngx.semaphore").new(0):wait(1) end,
} do
  assert(ngx.thread.kill(ngx.thread.spawn(run, what)) == 1)
end
ngx.sleep(0.001)
return true
