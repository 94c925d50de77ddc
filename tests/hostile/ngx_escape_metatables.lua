-- Looks for metatables, by which other tasks could be reached.
-- outcome: returns True
local semaphore = require "ngx.semaphore"
local digest = require "resty.md5"
for _, value in ipairs {
  ngx, ngx.re, ngx.thread, ngx.req, ngx.req.get_headers, ngx.var, ngx.header, ngx.arg,
  semaphore, semaphore.new(), digest, digest:new(), require "ngx.re", require "ngx.base64",
  require "resty.core",
} do
  local mt = getmetatable(value)
  assert(not mt, tostring(mt))
  if type(value) == "table" then
    -- Where there is one, it is protected.
    local ok = pcall(setmetatable, value, { __index = function() return "poison" end })
    assert(ok == (mt == nil), ok)
  end
end
return ngx.md5("") == "d41d8cd98f00b204e9800998ecf8427e"
