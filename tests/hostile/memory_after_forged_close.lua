-- Raises Lua's own message where a coroutine is closed, and then uses up the memory.
-- outcome: LuaMemoryLimitError
local forge = load([[
  local co = coroutine.create(function()
    local variable <close> = setmetatable({}, {
      __close = function() error("not enough memory", 0) end,
    })
    coroutine.yield()
  end)
  coroutine.resume(co)
  coroutine.close(co)
]])
if forge then forge() end
local t = {}
while true do t[#t + 1] = ("x"):rep(100000) .. #t end
