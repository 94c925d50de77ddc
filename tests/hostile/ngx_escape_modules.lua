-- Requires what other tasks could be reached by, and what is not made for a sandbox.
-- outcome: returns ''
local found = {}
for _, name in ipairs {
  "resty.threadpool", "resty.lock", "ngx.process", "ngx.pipe", "ngx.errlog", "ngx.ssl",
  "ngx.worker",
  "threadpool_lua", "ngx.re.regex", "ngx/re", "ngx_re", "threadpool_lua/ngx/regex", "thread.exdata",
} do
  if pcall(require, name) then found[#found + 1] = name end
end
return table.concat(found, " ")
