-- Keeps many semaphores, for each of which somebody waits.
-- outcome: LuaMemoryLimitError: memory limit
-- or: LuaTimeLimitError: time limit
local semaphore = require "ngx.semaphore"
local kept = {}
while true do
  local sema = semaphore.new(0)
  kept[#kept + 1] = sema
  ngx.thread.spawn(sema.wait, sema, 3600)
end
