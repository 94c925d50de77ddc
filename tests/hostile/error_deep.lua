-- Fails at the bottom of a deep stack, whose traceback is long.
-- outcome: LuaError: bottom
local function dive(depth)
  if depth == 0 then error("bottom") end
  return 1 + dive(depth - 1)
end
return dive(15000)
