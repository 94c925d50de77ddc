-- Makes a text longer by replacing all in it, again and again.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
local text = "xx"
while true do text = text:gsub("x", "%0%0%0%0") end
