-- Compiles megabytes of comments for ever: each call takes long, and leaves nothing behind.
-- outcome: LuaTimeLimitError
local text = ("--\n"):rep(1000000)
while true do load(text) end
