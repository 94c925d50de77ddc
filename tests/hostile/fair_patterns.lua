-- Uses patterns for what they are there for.
-- outcome: returns {'name': 'Ada', 'words': 3, 'trimmed': 'a b', 'csv': ['1', '2', '', '4']}
local fields = list {}
for field in ("1,2,,4,"):gmatch("([^,]*),") do fields[#fields + 1] = field end
return {
  name = ("user: Ada"):match("^%w+:%s*(%w+)$"), trimmed = ("  a b "):match("^%s*(.-)%s*$"),
  words = select(2, ("one two three"):gsub("%S+", "")), csv = fields,
}
