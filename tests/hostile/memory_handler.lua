-- Grows in an error handler, where running out of memory is an error of the handler.
-- outcome: LuaMemoryLimitError
-- or: returns 'caught'
local t = {}
local ok = xpcall(error, function()
  while true do t[#t + 1] = ("x"):rep(100000) .. #t end
end)
return ok and "escaped" or "caught"
