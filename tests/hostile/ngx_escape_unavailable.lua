-- Calls what is not available, with self, nothing and everything.
-- outcome: returns True
local function fails(f, ...)
  local ok, why = pcall(f, ...)
  return not ok and tostring(why):find("not available", 1, true) ~= nil
end
local function index(t, key) return t[key] end
assert(fails(ngx.say, ngx) and fails(ngx.exit) and fails(ngx.timer.at, 0, type))
assert(fails(ngx.req.get_headers, {}) and fails(ngx.location.capture, "/"))
assert(fails(index, ngx.var, "host") and fails(index, ngx, "status"))
assert(fails(rawset(ngx, "poison", ngx.exec).poison))
return true
