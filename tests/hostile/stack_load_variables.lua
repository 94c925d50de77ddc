-- Compiles more local variables, parameters and arguments than a function may have.
-- outcome: returns ''
local names, found = {}, {}
for i = 1, 100000 do names[i] = "x" .. i end
local list = table.concat(names, ",")
local texts = {
  "local " .. list, "return function(" .. list .. ") end", list .. " = 1", "f(" .. list .. ")",
  "return " .. list, "for " .. list .. " in x do end",
}
for i, text in ipairs(texts) do
  if load(text) then found[#found + 1] = i end
end
return table.concat(found, " ")
