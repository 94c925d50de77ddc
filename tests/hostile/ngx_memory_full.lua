-- Calls Python when there is next to no memory left, and has it return what does not fit.
-- outcome: LuaMemoryLimitError: memory limit
-- or: LuaTimeLimitError: time limit
local kept, size = {}, 2 ^ 20
while size > 64 do
  local ok, text = pcall(string.rep, tostring(size), size)
  if ok then kept[#kept + 1] = text else size = size / 2 end
  for _ = 1, 3 do
    pcall(ngx.encode_base64, kept[#kept] or "x")
    pcall(ngx.re.match, "aaa", "(a)(?<n>a)" .. #kept, "jo")
    pcall(ngx.thread.spawn, ngx.sleep, 0)
  end
end
while true do kept[#kept + 1] = { ngx.localtime(), ngx.now(), ngx.md5("x") } end
