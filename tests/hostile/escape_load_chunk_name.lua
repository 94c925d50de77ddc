-- Calls its code by a name of the library's own files, so that messages take it for them.
-- outcome: LuaError: mine
local fn = load("local function f() error('mine') end f()", "=threadpool_lua/dispatcher.lua")
fn()
