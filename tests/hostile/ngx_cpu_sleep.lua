-- Sleeps for no time, for ever, in as many light threads as there may be.
-- outcome: LuaTimeLimitError: time limit
local function nap() while true do ngx.sleep(0) end end
for _ = 1, 50 do ngx.thread.spawn(nap) end
nap()
