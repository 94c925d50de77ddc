-- Fails as code does that does not compile.
-- outcome: LuaError: near
error((select(2, load("return ("))), 0)
