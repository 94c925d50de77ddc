-- The same with shorter texts, for ever.
-- outcome: LuaTimeLimitError
local text, needle = ("x"):rep(200000), ("x"):rep(10000) .. "y"
while true do text:find(needle, 1, true) end
