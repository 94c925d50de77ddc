-- Waits for many light threads at once, each time for one less, and then anew.
-- outcome: LuaTimeLimitError: time limit
-- or: LuaMemoryLimitError
while true do
  local threads = {}
  for i = 1, 500 do threads[i] = ngx.thread.spawn(ngx.sleep, 0) end
  for _ = 1, 500 do
    pcall(ngx.thread.wait, (table.unpack or unpack)(threads))
    threads[#threads] = nil
  end
end
