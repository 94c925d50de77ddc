-- Fills the caches of ngx.re, and spoils what its results share with them, if they do.
-- outcome: returns True
for i = 1, 1200 do
  local m = ngx.re.match("ab" .. i, "(?<x>a)(?<y>b)" .. i, i % 2 == 0 and "jo" or "ijo")
  m.x, m[0], m[1] = "poison", "poison", "poison"
end
local m = { "poison", x = "poison" }
assert(ngx.re.match("ab", "(?<x>a)(b)?", "jo", nil, m) == m and m.x == "a" and m[2] == "b")
for i = 1, 300 do assert(ngx.re.gsub("aXa", "X", "${0}" .. i, "jo") == "aX" .. i .. "a") end
local options = { "i", "j", "m", "o", "s", "x", "d", "a", "D" }
for i = 1, 1000 do pcall(ngx.re.find, "A", "a", options[i % 9 + 1]:rep(i % 20)) end
pcall(require("ngx.re").opt, "jit_stack_size", 1)
pcall(require("ngx.re").opt, "jit_stack_size", 2 ^ 60)
pcall(require("ngx.re").opt, "jit_stack_size", 0 / 0)
return true
