-- Makes up a semaphore, so that it would be one of another task's, by its number.
-- outcome: returns True
local semaphore = require "ngx.semaphore"
for number = 0, 50 do
  local sema = semaphore.new(0)
  sema.number, sema.asking, sema.units, sema.waiting, sema[1] = number, 5, 1e9, {}, sema
  assert(sema:count() == 0 and sema:wait(0) == nil)
  assert(sema:post() and sema:count() == 1)
  local forged = setmetatable({ number = number, units = 1 }, { __index = semaphore })
  assert(not pcall(forged.post, forged) and not pcall(forged.wait, forged, 0))
end
return true
