-- Hands the ends of all ranges of numbers to functions that count places.
-- outcome: returns True
local ends = {
  0, 1, -1, 2 ^ 31, -2 ^ 31, 2 ^ 31 - 1, 2 ^ 32, 2 ^ 53, -2 ^ 53, 2 ^ 63, -2 ^ 63, 1e308, -1e308,
  0 / 0, 0.5, math.huge, -math.huge,
}
local text, t = "text", { 1, 2, 3 }
for _, from in ipairs(ends) do
  for _, to in ipairs(ends) do
    pcall(string.sub, text, from, to)
    pcall(string.byte, text, from, to)
    pcall(string.find, text, "t", from)
    pcall(string.find, text, "t", from, true)
    pcall(math.random, from, to)
    pcall(tonumber, "11", from)
    pcall(select, from, to)
    pcall(error, "x", from)
    pcall(utf8 and utf8.codepoint or select, text, from, to)
    pcall(utf8 and utf8.offset or select, text, from, to)
    pcall(bit and bit.lshift or select, from, to)
    pcall(bit and bit.tohex or select, from, to)
  end
  pcall(rawset, t, from, 1)
  pcall(next, t, from)
end
return true
