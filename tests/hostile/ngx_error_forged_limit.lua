-- Raises in a light thread what Lua does when there is no memory, and catches it.
-- outcome: returns True
local function forge() ngx.sleep(0) error("not enough memory", 0) end
local ok, why = ngx.thread.wait(ngx.thread.spawn(forge))
assert(not ok and why == "not enough memory")
ok, why = ngx.thread.wait(ngx.thread.spawn(error, "not enough memory", 0))
return not ok and why == "not enough memory"
