-- Pauses in a callback of a function of C, where Lua cannot: caught, it must do no harm.
-- outcome: returns 'paused'
pcall(string.gsub, "x", "x", function() coroutine.yield() end)
pcall(string.gsub, "x", "x", function() host.wait() end)
pcall(table.sort, { 1, 2 }, function() coroutine.yield() end)
pcall(table.sort, { 1, 2 }, function() host.wait() end)
return host.wait("paused")
