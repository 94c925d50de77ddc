-- Raises and catches a hundred thousand errors.
-- outcome: returns 100000
-- or: LuaTimeLimitError
local caught = 0
for _ = 1, 100000 do
  if not pcall(error, "x") then caught = caught + 1 end
end
return caught
