-- Recurses in two ways until the stack is full, and catches that at each level: at the brink there
-- is no room for a hook, and it takes two to the power of the depth steps to come back.
-- outcome: LuaTimeLimitError
local function dive()
  pcall(dive)
  pcall(dive)
end
dive()
