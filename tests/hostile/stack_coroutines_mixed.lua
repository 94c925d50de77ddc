-- Nests coroutines, callbacks and protected calls, so that a count of one of them is not enough.
-- outcome: returns True
local deepest = 0
local function dive(depth)
  deepest = depth
  return coroutine.wrap(function()
    return (("x"):gsub("x", function()
      table.sort({ 1, 2 }, function() return pcall(dive, depth + 1) end)
    end))
  end)()
end
pcall(dive, 1)
return deepest < 1000
