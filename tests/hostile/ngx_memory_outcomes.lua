-- Leaves many light threads that have returned much, and themselves, and are not waited for.
-- outcome: returns True
local long = ("x"):rep(300000)
for i = 1, 200 do ngx.thread.spawn(function() return coroutine.running(), long .. i end) end
return true
