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

for _, library in ipairs { _G, string, table, math, coroutine, os, ngx, bit or {}, utf8 or {} } do
  check(rawget(library, "poison") == nil and library.poison == nil, "libraries")
end
check(host.poison == nil and rawget(host, "poison") == nil, "host")
check(ngx.null == null and not pcall(function() return null.poison end), "null")
check(next(host.echo({ {} })[1]) == nil and select("#", host.echo(1, 2)) == 2, "host.echo")
local ok, why = pcall(host.fail)
check(not ok and why.type == "ValueError" and tostring(why) == "ValueError: oops", "host.fail")
return true
