-- Asks for dates that are none, in formats that are none.
-- outcome: returns True
local times = { 0, -1, 1e18, -1e18, 2 ^ 63, 1e300, 0 / 0, math.huge, -math.huge, "x" }
local formats = {
  "", "%", "%%", "%E", "%O", "%Ez", "%y%", "*t", "!*t", "!", "*", "%\0", ("%c"):rep(1000),
}
for _, time in ipairs(times) do
  for _, format in ipairs(formats) do pcall(os.date, format, time) end
  for _, field in ipairs { "year", "month", "day", "hour", "min", "sec", "isdst" } do
    local date = { year = 2000, month = 1, day = 1 }
    date[field] = time
    pcall(os.time, date)
  end
  pcall(os.difftime, time, time)
end
return true
