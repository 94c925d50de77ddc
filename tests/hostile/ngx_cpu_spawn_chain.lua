-- Has each light thread begin the next one, and wait for it.
-- outcome: LuaTimeLimitError: time limit
-- or: LuaMemoryLimitError
local function chain(left)
  ngx.sleep(0)
  if left > 0 then return ngx.thread.wait(ngx.thread.spawn(chain, left - 1)) end
end
while true do chain(500) end
