-- Asks `load` for no environment at all, for which LuaJIT takes the globals of the state.
-- outcome: returns True
local ok, fn = pcall(load, "return _G", "=x", "t", nil)
if not ok or not fn then return true end
local ran, globals = pcall(fn)
return not ran or globals == nil or rawequal(globals, _G)
