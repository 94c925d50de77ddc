-- Patterns that end too early, each of which a careless matcher reads beyond.
-- outcome: returns ''
local found = {}
for _, pattern in ipairs {
  "%", "[", "[^", "[a", "[]", "[^]", "[%", "[a-", "[%a", "[a-%", "%b", "%bx", "%f", "%f[", "%fa",
  "%1", "%9", "(", "(x", ")", "x)", "(()", "(%1)",
} do
  for name, search in next, { find = string.find, match = string.match, gmatch = string.gmatch } do
    local ok = pcall(function()
      local got = search("x", pattern)
      if name == "gmatch" then got = got() end
      return got
    end)
    if ok and name ~= "find" then found[#found + 1] = name .. " " .. pattern end
  end
end
return table.concat(found, ", ")
