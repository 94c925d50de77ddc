-- Raises the message of a time limit.
-- outcome: LuaError: the time limit of 0.5 s was exceeded
error("the time limit of 0.5 s was exceeded", 0)
