-- Waits in coroutines in light threads in coroutines.
-- outcome: returns 63
local function tree(depth)
  if depth == 0 then ngx.sleep(0) return 1 end
  return coroutine.wrap(function()
    local one = ngx.thread.spawn(tree, depth - 1)
    local other = ngx.thread.spawn(coroutine.wrap(function() return tree(depth - 1) end))
    coroutine.wrap(function() ngx.sleep(0) end)()
    local sum = 1
    for _ = 1, 2 do
      local ok, n = ngx.thread.wait(one, other)
      if ok == nil then ok, n = ngx.thread.wait(other) end
      assert(ok, n)
      sum = sum + n
    end
    return sum
  end)()
end
return tree(5)
