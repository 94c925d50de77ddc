-- Code that is loaded gets the globals of the Lua state, and not the task's, if nobody minds it.
-- outcome: returns True
local globals = load("return _G")()
local inner = coroutine.wrap(function() return load("return _G")() end)()
local replaced
local text = ("return _G"):gsub(".+", function(code) replaced = load(code)() end)
local own = loadstring and loadstring("return _G")() or _G
return text == "return _G" and rawequal(globals, _G) and rawequal(inner, _G)
  and rawequal(replaced, _G) and rawequal(own, _G)
