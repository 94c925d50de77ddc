-- Has each light thread begin the next one at once, before it pauses.
-- outcome: LuaTimeLimitError: time limit
-- or: LuaError: overflow
-- or: LuaMemoryLimitError
local function deeper() return ngx.thread.wait(ngx.thread.spawn(deeper)) end
while true do
  local ok, why = deeper()
  if not ok then error(why, 0) end
end
