-- Replaces `ngx.null`.
-- outcome: returns True
pcall(rawset, ngx, "null", "poison")
pcall(rawset, ngx, "poison", "poison")
pcall(setmetatable, ngx, { __index = function() return "poison" end })
return true
