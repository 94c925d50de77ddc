-- Makes functions that hold each other by their variables.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
local last
while true do
  local before = last
  last = function() return before end
end
