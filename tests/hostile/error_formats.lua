-- Formats by directions that are none, and values that do not fit.
-- outcome: returns True
local formats = {
  "%", "%%%", "%y", "%10", "%0000000000000000001d", "%-+ #0d", "%99.99f", "%100d", "%.100f", "%.d",
  "%5.5.5d", "%ll", "%n", "%p", "%*d", "%1$d", "%\0", "%q", "%5q", "%s%s%s", "%c%c", "%a", "%i",
}
local values = { 1, -1, 0 / 0, math.huge, 2 ^ 63, 1e308, "x", "\0", {}, next, true, null, host }
for _, format in ipairs(formats) do
  for _, value in ipairs(values) do pcall(string.format, format, value, value) end
  pcall(string.format, format)
end
return true
