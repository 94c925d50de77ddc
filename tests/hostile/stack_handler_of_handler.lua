-- An error handler that is called for its own errors, and for theirs.
-- outcome: returns False
-- or: LuaTimeLimitError
local function handle(why)
  local inner = xpcall(error, handle, why)
  error(inner)
end
return (xpcall(error, handle))
