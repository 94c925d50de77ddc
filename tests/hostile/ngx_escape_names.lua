-- Uses all of ngx that leads out of a sandbox, or to other tasks.
-- outcome: returns ''
local found = {}
for _, name in ipairs { "config", "log", "run_worker_thread", "shared", "socket", "worker" } do
  local ok, why = pcall(function() return ngx[name] end)
  if ok or not why:find("ngx." .. name .. " is not available in a sandbox", 1, true) then
    found[#found + 1] = name
  end
  if rawget(ngx, name) ~= nil then found[#found + 1] = "raw " .. name end
end
for _, part in ipairs { ngx.get_phase, ngx.ERR, ngx.say, ngx.re } do assert(part) end
for name in pairs(ngx) do
  if name == "worker" or name == "config" or name == "log" then found[#found + 1] = name end
end
return table.concat(found, " ")
