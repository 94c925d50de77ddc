-- The same with `coroutine.resume`, whose errors are only returned.
-- outcome: returns True
local function dive()
  local _, why = coroutine.resume(coroutine.create(dive))
  return why
end
return tostring(dive()):find("overflow") ~= nil
