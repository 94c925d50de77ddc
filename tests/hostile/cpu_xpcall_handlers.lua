-- Error handlers that fail, for ever.
-- outcome: LuaTimeLimitError
while true do
  xpcall(error, error)
  xpcall(error, function() error(error) end)
end
