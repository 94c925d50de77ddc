-- Replaces the functions of the libraries that only some implementations have.
-- outcome: returns True
for _, name in ipairs { "utf8", "bit", "bit32" } do
  local library = _G[name]
  if library then
    for key in next, library do rawset(library, key, "poison") end
    rawset(library, "poison", true)
  end
end
return true
