-- Coroutines inside of one another without end: each takes some of the thread's own stack.
-- outcome: LuaError: overflow
local function dive() return (coroutine.wrap(dive)()) end
return dive()
