-- Begins light threads for ever, that end at once, or sleep.
-- outcome: LuaTimeLimitError: time limit
-- or: LuaMemoryLimitError
while true do
  ngx.thread.spawn(function() end)
  ngx.thread.spawn(ngx.sleep, 0)
  pcall(ngx.thread.spawn, function() error(ngx.thread.spawn(ngx.sleep, 0)) end)
end
