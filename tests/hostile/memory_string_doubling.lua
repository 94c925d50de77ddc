-- Doubles a text.
-- outcome: LuaMemoryLimitError
local text = "x"
while true do text = text .. text end
