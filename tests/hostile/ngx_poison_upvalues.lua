-- Gives functions of ngx tables that change while they are at work on them.
-- outcome: returns True
local inner = 0
local result = setmetatable({}, {
  __newindex = function(t, key, value)
    inner = inner + 1
    assert(ngx.re.match(("x"):rep(inner), "(x)(x)?(x)?(x)?" .. inner % 7, "jo") or true)
    assert(ngx.re.gsub("abc", "(.)", "$1$1") == "aabbcc")
    rawset(t, key, value)
  end,
})
local ok, m = pcall(ngx.re.match, "abcdef", "(a)(b)(c)(d)(e)(f)", "jo", nil, result)
assert(not ok or m == result)
local text = ngx.re.gsub("a1b2", "[a-z]", function(found)
  return found[0] .. ngx.re.sub("<x>", "x", found[0]) .. #require("ngx.re").split("a,b", ",")
end)
assert(text == "a<a>21b<b>22", text)
local args = { a = 1, b = 2 }
local seen = setmetatable({}, { __tostring = function() args.a = nil return "s" end })
assert(ngx.md5(seen) == ngx.md5("s") and ngx.encode_args(args) == "b=2")
return true
