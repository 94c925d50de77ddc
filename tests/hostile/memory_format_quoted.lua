-- Quotes a text of which each byte becomes several, again and again.
-- outcome: LuaMemoryLimitError
local text = "\0\r\""
while true do text = string.format("%q", text) end
