-- Takes numerals of a million digits for numbers, in each way there is.
-- outcome: LuaTimeLimitError
local digits = ("9"):rep(1000000)
local code = "return " .. digits
while true do
  pcall(tonumber, digits, 36)
  pcall(string.format, "%d", digits)
  pcall(load, code)
  pcall(function() return digits + 1 end)
end
