-- Compiles a chain of operators that are right-associative: each is one level deeper.
-- outcome: returns ''
local found = {}
for _, operator in ipairs { "^", ".." } do
  if load("return x" .. (operator .. "x"):rep(100000)) then found[#found + 1] = operator end
end
return table.concat(found, " ")
