-- Raises errors of all types in light threads, at once and later.
-- outcome: returns True
local looping = setmetatable({}, { __tostring = function() while true do end end })
local pausing = setmetatable({}, { __tostring = function() ngx.sleep(1) return "x" end })
local failing = setmetatable({}, { __tostring = function(t) error(t) end })
local function raise(value, later)
  if later then ngx.sleep(0) end
  error(value, 0)
end
for _, value in ipairs {
  "text", 7, true, {}, type, null, coroutine.create(type), looping, pausing, failing, list {},
  ("x"):rep(100000),
} do
  for _, later in ipairs { false, true } do
    local ok, why = ngx.thread.wait(ngx.thread.spawn(raise, value, later))
    assert(ok == false and rawequal(why, value))
    ngx.thread.spawn(raise, value, later)
  end
end
local ok, why = ngx.thread.wait(ngx.thread.spawn(raise, nil, true))
return ok == false and why == nil
