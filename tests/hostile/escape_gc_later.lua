-- Adds a finalizer to a metatable that is in use, or has one come from a metatable's metatable.
-- outcome: returns 0
local runs = 0
local function finalize() runs = runs + 1 end
local mt = {}
local inherited = setmetatable({}, { __index = { __gc = finalize } })
local hidden = setmetatable({}, { __index = function() return finalize end })
for _ = 1, 100 do
  setmetatable({}, mt)
  pcall(setmetatable, {}, inherited)
  pcall(setmetatable, {}, hidden)
end
mt.__gc = finalize
rawset(inherited, "__gc", finalize)
for i = 1, 100 do
  pcall(setmetatable, {}, mt)
  local _ = ("x"):rep(200000 + i)
end
return runs
