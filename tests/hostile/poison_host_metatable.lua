-- Replaces what is behind the table of host functions.
-- outcome: returns True
pcall(setmetatable, host, { __index = function() return next end })
pcall(function() getmetatable(host).__index = {} end)
pcall(function() getmetatable(host).__index.poison = next end)
return host.echo("still") == "still"
