-- Has Python return more than there is room for, and catches that.
-- outcome: LuaMemoryLimitError: memory limit
local kept = { ("x"):rep(2 ^ 23) }
while true do
  local ok, text = pcall(ngx.encode_base64, kept[#kept])
  if ok then kept[#kept + 1] = text end
end
