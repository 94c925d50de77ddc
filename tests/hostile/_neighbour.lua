-- A task that shares its state with a hostile one: it uses all that one could have spoilt, and
-- returns true. If it is told to pause, that happens in the midst of it.
local must_pause = ...

local mine, numbers = { "known to this task only" }, {}
_G.secret = mine
local format, text = string.format, "x"
local counter = coroutine.wrap(function()
  for i = 1, 3 do coroutine.yield(i) end
end)

local function check(ok, what)
  if not ok then error("spoilt: " .. what, 2) end
end

for i = 1, 100 do numbers[i] = i end
check(counter() == 1, "a coroutine before the pause")
local semaphore = require "ngx.semaphore"
local sema, find = semaphore.new(0), ngx.re.find
local waiting = ngx.thread.spawn(function() return sema:wait(60), "woken" end)
check(sema:count() == -1, "a semaphore before the pause")
local matches = ngx.re.gmatch("a1b2", "(?<letter>[a-z])", "jo")
check(matches().letter == "a", "ngx.re.gmatch before the pause")
if must_pause then check(host.pause("here") == "here", "the pause") end

check(_G.secret == mine and mine[1] == "known to this task only", "globals")
check(#numbers == 100 and numbers[100] == 100, "local variables")
check(counter() == 2 and counter() == 3, "a coroutine that was paused")
check(format("%d %s", 7, "x") == "7 x" and string.format == format, "string.format")
check(text:rep(3) == "xxx" and ("x"):rep(3) == "xxx", "methods of strings")
check(("a,b"):find(",") == 2 and ("ab"):gsub("b", "c") == "ac", "patterns")
check(getmetatable("") == false, "the metatable of strings")
check(table.concat({ 1, 2, 3 }, "-") == "1-2-3", "table.concat")
check(math.floor(2.5) == 2 and math.pi > 3, "math.floor")
check(type(os.time()) == "number", "os.time")
check(not bit or bit.band(3, 5) == 1, "bit.band")
check(not utf8 or utf8.char(228) == "ä", "utf8.char")
check(tostring(12) == "12" and tonumber("12") == 12 and select("#", 1, 2) == 2, "functions")
check(not pcall(error, "x") and pcall(next, {}), "pcall")
check(coroutine.wrap(function() return "wrapped" end)() == "wrapped", "coroutine.wrap")
check(load("return _G")() == _G, "load")

check(ngx.re.find == find and find("xay", "A", "ijo") == 2, "ngx.re.find")
check(ngx.re.match("2024-05", [[(?<year>\d+)-(\d+)]], "jo").year == "2024", "ngx.re.match")
check(ngx.re.gsub("abc", "b", "[$0]", "jo") == "a[b]c", "ngx.re.gsub")
check(matches().letter == "b" and matches() == nil, "ngx.re.gmatch")
check(#require("ngx.re").split("a,b", ",", "jo") == 2, "the module ngx.re")
check(ngx.md5("x") == "9dd4e461268c8034f5c8564e155c67a6", "ngx.md5")
check(ngx.escape_uri("a b") == "a%20b" and ngx.unescape_uri("a+b") == "a b", "ngx.escape_uri")
check(ngx.decode_base64(ngx.encode_base64("x")) == "x", "ngx.encode_base64")
check(ngx.ERR == 4 and type(ngx.now()) == "number" and ngx.get_phase() == "timer", "ngx")
check(sema:count() == -1 and sema:post(2), "ngx.semaphore")
local ok, got, what = ngx.thread.wait(waiting)
check(ok and got and what == "woken" and sema:count() == 1, "a light thread that was paused")
check(sema:wait(0) and ngx.thread.kill(ngx.thread.spawn(ngx.sleep, 60)) == 1, "ngx.thread")

for _, library in ipairs {
  _G, string, table, math, coroutine, os, ngx, ngx.re, ngx.thread, semaphore, bit or {}, utf8 or {},
} do
  check(rawget(library, "poison") == nil and library.poison == nil, "libraries")
end
check(host.poison == nil and rawget(host, "poison") == nil, "host")
check(ngx.null == null and not pcall(function() return null.poison end), "null")
check(next(host.echo({ {} })[1]) == nil and select("#", host.echo(1, 2)) == 2, "host.echo")
local why
ok, why = pcall(host.fail)
check(not ok and why.type == "ValueError" and tostring(why) == "ValueError: oops", "host.fail")
return true
