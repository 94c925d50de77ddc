-- Compiles blocks of every kind, nested 100,000 deep.
-- outcome: returns ''
local found = {}
for _, head in ipairs { "do ", "while x do ", "if x then ", "for i = 1, 2 do ", "function f() " } do
  if load(head:rep(100000) .. ("end "):rep(100000)) then found[#found + 1] = head end
end
if load(("repeat "):rep(100000) .. ("until x "):rep(100000)) then found[#found + 1] = "repeat" end
return table.concat(found, " ")
