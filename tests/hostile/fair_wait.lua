-- Waits for longer than it may run: time that is spent in a host function is not Lua's.
-- outcome: returns 'waited'
return host.wait("waited", 0.7)
