-- Raises the coroutine of the task itself.
-- outcome: LuaError: (error object is a thread value)
error((coroutine.running()))
