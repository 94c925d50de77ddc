-- Raises Lua's own message first, in ways that may not be noticed, and then uses up the memory.
-- outcome: LuaMemoryLimitError
local function forge() error("not enough memory", 0) end
pcall(forge)
pcall(coroutine.wrap(forge))
coroutine.resume(coroutine.create(forge))
xpcall(forge, function(why) return why end)
load(forge)
local t = {}
while true do t[#t + 1] = ("x"):rep(100000) .. #t end
