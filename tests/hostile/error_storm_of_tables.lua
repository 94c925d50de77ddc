-- Raises and catches errors that are tables, by handlers.
-- outcome: returns 20000
-- or: LuaTimeLimitError
local caught = 0
for _ = 1, 20000 do
  local _, why = xpcall(error, function(why) return { why } end, {})
  if why[1] then caught = caught + 1 end
end
return caught
