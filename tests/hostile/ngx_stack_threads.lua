-- Begins light threads within one another, and waits for them, in coroutines.
-- outcome: returns True
local deepest = 0
local function deeper(depth)
  deepest = math.max(deepest, depth)
  if depth == 5000 then return end
  local t = coroutine.wrap(function()
    return ngx.thread.spawn(function() return deeper(depth + 1) end)
  end)()
  return t
end
pcall(deeper, 1)
return deepest > 50
