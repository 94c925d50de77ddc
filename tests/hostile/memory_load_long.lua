-- Compiles one long text: two million bytes become much more.
-- outcome: LuaMemoryLimitError
-- or: returns None
-- or: returns 'compiled'
local text = ("x = x + 1 "):rep(200000)
return (load(text)) and "compiled"
