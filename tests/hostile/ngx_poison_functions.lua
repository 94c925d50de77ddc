-- Spoils ngx, its tables, and the modules that belong to it, for the tasks that come.
-- outcome: returns True
local function spoil(t)
  for key in pairs(t) do t[key] = function() return "poison" end end
  t.poison = "poison"
end
local names = {
  "ngx.re", "ngx.semaphore", "ngx.base64", "resty.core", "resty.core.base", "resty.core.time",
  "resty.md5", "resty.random", "resty.string",
}
for _, name in ipairs(names) do spoil(require(name)) end
assert(ngx.re and ngx.thread and ngx.md5 and ngx.escape_uri and ngx.OK and ngx.say and ngx.req)
spoil(ngx.re)
spoil(ngx.thread)
spoil(ngx.req)
spoil(ngx)
return ngx.md5() == "poison"
