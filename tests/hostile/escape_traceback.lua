-- An error handler runs on top of the stack that failed, and might see all of it.
-- outcome: returns 'string'
local seen
xpcall(function() local t = nil; return t.x end, function(why)
  seen = type(why)
  if debug then seen = debug.traceback() end
end)
return seen
