-- Passes too much: to wait, to spawn, to the functions of ngx.
-- outcome: returns True
local unpack = table.unpack or unpack
local many = {}
for i = 1, 7500 do many[i] = i end
pcall(function()
  local t = ngx.thread.spawn(function(...) ngx.sleep(0) return ... end, unpack(many))
  assert(select("#", ngx.thread.wait(t)) == 7501)
end)
local t = ngx.thread.spawn(ngx.sleep, 0.001)
for i = 1, 7500 do many[i] = t end
pcall(ngx.thread.wait, unpack(many))
pcall(ngx.md5, unpack(many))
pcall(ngx.re.match, "a", "a", "", {}, {}, unpack(many))
pcall(ngx.encode_args, unpack(many))
return true
