-- Has the function that replaces never return, and pause in between.
-- outcome: LuaTimeLimitError: time limit
return ngx.re.gsub("abc", ".", function()
  while true do
    ngx.sleep(0)
    ngx.re.gsub("abc", "(?<n>.)", function(m) return coroutine.yield(m.n) end)
    ngx.re.gsub("abc", "(?<n>.)", function() end)
  end
end)
