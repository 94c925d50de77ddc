-- Carries all that it has in the values of errors, each around the last.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
local last
while true do
  local _, value = pcall(error, { last, ("x"):rep(10000) })
  last = { value, ("x"):rep(10000) .. tostring(value) }
end
