-- Clears and makes large tables by functions of C.
-- outcome: LuaTimeLimitError: time limit
-- or: LuaMemoryLimitError
local clear, new, nkeys = require "table.clear", require "table.new", require "table.nkeys"
local clone, isarray = require "table.clone", require "table.isarray"
local t = new(400000, 0)
for i = 1, 400000 do t[i] = i end
while true do
  for _ = 1, 1000 do nkeys({}) end
  for _ = 1, 100 do clear(new(400000, 0)) clone(t) nkeys(t) isarray(t) end
end
