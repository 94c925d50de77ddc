-- Begins light threads where a task can pause, and where it cannot.
-- outcome: returns True
local count = 0
local function nap() ngx.sleep(0) count = count + 1 end
local function spawn() return ngx.thread.spawn(nap) end
local object = setmetatable({}, {
  __index = spawn, __call = spawn, __add = spawn, __lt = function() return spawn() end,
  __tostring = function() pcall(spawn) return "x" end, __concat = spawn, __eq = spawn,
})
for _ = 1, 20 do
  pcall(function() return object.x, object(), object + 1, object < object, object .. "" end)
  pcall(tostring, object)
  pcall(table.sort, { 3, 1, 2 }, function(a, b) pcall(spawn) return a < b end)
  pcall(string.gsub, "abc", ".", function() spawn() end)
  pcall(ngx.re.gsub, "abc", ".", function() spawn() end)
  pcall(load, function() pcall(spawn) end)
  xpcall(error, function() pcall(spawn) end)
  for _ in pairs(setmetatable({}, { __pairs = function() pcall(spawn) return next, {} end })) do end
  coroutine.wrap(function() coroutine.wrap(spawn)() end)()
end
ngx.sleep(0.01)
return count >= 20
