-- Asks for the bytes of a long text all at once.
-- outcome: LuaError: string slice too long
return ("x"):rep(10000000):byte(1, -1)
