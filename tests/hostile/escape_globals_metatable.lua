-- Changes what stands behind the globals of a task.
-- outcome: returns True
local before = string
pcall(function() getmetatable(_G).__index = { string = "escaped" } end)
pcall(setmetatable, _G, { __metatable = "mine" })
return string == before
