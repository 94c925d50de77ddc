-- Replaces all functions among the globals, and the libraries.
-- outcome: returns True
local names = {}
for _, name in ipairs {
  "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget",
  "select", "setmetatable", "tonumber", "tostring", "type", "xpcall", "load", "require", "list",
  "string", "table", "math", "os", "coroutine", "host", "null", "ngx", "_VERSION", "poison",
} do
  names[#names + 1] = name
end
local set = rawset
for i = 1, #names do set(_G, names[i], "poison") end
return true
