-- An error handler that makes errors with error handlers.
-- outcome: LuaTimeLimitError
local function handle()
  for _ = 1, 1000 do xpcall(error, handle) end
end
while true do xpcall(error, handle) end
