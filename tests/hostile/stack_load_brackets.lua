-- Compiles brackets of every kind, nested 100,000 deep.
-- outcome: returns ''
local found = {}
local texts = {
  ("("):rep(100000) .. "1" .. (")"):rep(100000), ("{"):rep(100000) .. ("}"):rep(100000),
  ("f("):rep(100000) .. (")"):rep(100000), ("{["):rep(100000) .. ("]=1}"):rep(100000),
  ("function() return "):rep(100000) .. "1" .. (" end"):rep(100000),
}
for i, text in ipairs(texts) do
  if load("return " .. text) then found[#found + 1] = i end
end
return table.concat(found, " ")
