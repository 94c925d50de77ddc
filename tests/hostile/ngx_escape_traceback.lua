-- Looks into the errors of ngx for where the library is, and for Python.
-- outcome: returns ''
local found = {}
local function try(f, ...)
  local ok, why = pcall(f, ...)
  why = tostring(why)
  if ok then found[#found + 1] = "no error" end
  for _, word in ipairs { "threadpool_lua", "%.py", "python", "lupa", "Traceback", "%.lua:" } do
    if why:find(word) then found[#found + 1] = why end
  end
end
local semaphore = require "ngx.semaphore"
try(ngx.re.match, "a", "(")
found = {} -- It is no error.
try(ngx.re.match, "a", {})
try(ngx.re.match, "a", "a", "?")
try(ngx.re.find, "a", "a", "", { pos = {} })
try(ngx.re.gsub, "a", "a", function() error({}) end)
try(ngx.sleep, {})
try(ngx.thread.spawn, 1)
try(ngx.thread.wait, 1)
try(semaphore.new, -1)
try(semaphore.post, {})
try(semaphore.new, {}, {}, error)
found[#found] = nil -- It is no error, either.
try(ngx.decode_args, {})
try(ngx.encode_args, { 1 })
try(ngx.escape_uri, "a", 99)
try(require("resty.random").bytes, -1)
try(require("table.clear"), 1)
return table.concat(found, "\n")
