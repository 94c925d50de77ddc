-- The coroutine of the task itself.
-- outcome: MarshalError: cannot pass a thread
return { (coroutine.running()) }
