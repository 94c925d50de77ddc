-- Walks through long texts with the functions for bytes and characters.
-- outcome: LuaTimeLimitError
local text = ("x"):rep(4000000)
while true do
  if utf8 then
    utf8.len(text)
    utf8.offset(text, -4000000)
  end
  pcall(string.byte, text, 1, 7000)
  string.find(text, "y", 1, true)
end
