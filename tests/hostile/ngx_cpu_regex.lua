-- Matches what backtracks for ever, with and without the compiler, and all others; catches it.
-- outcome: LuaTimeLimitError: time limit
local s, long = ("a"):rep(100000) .. "!", ("ab"):rep(1000000)
while true do
  for _, options in ipairs { "", "j", "d", "jo", "u", "ijou" } do
    pcall(ngx.re.find, s, "(a+)+$", options)
    pcall(ngx.re.gsub, s, "(a|aa|aaa|a*?b)+$|x", "", options)
    pcall(ngx.re.find, s, "(a*)\\1(a*)\\2\\1$", options)
    pcall(ngx.re.match, long, "[^c]*+c|(?=.*?d)e|(?<=(?=[ab]*z).)y", options .. "s")
  end
end
