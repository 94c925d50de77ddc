-- Fills the stack, catches that, and then needs some for a coroutine and a callback.
-- outcome: returns 'fine'
local function dive() return (coroutine.wrap(dive)()) end
for _ = 1, 20 do pcall(dive) end
return coroutine.wrap(function()
  return (("fire"):gsub("r", function() return "n" end))
end)()
