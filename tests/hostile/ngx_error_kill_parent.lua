-- Ends a light thread that waits for its own, which go on.
-- outcome: returns 'children'
local seen = "no"
local parent = ngx.thread.spawn(function()
  local child = ngx.thread.spawn(function()
    local grandchild = ngx.thread.spawn(function() ngx.sleep(0.001) return "children" end)
    seen = select(2, ngx.thread.wait(grandchild))
  end)
  ngx.thread.wait(child)
  seen = "not ended"
end)
assert(ngx.thread.kill(parent) == 1)
ngx.sleep(0.02)
return seen
