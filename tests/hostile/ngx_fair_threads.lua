-- Does nothing wrong: light threads that share work by semaphores, and match texts.
-- outcome: returns 5050
local semaphore = require "ngx.semaphore"
local full, free = semaphore.new(0), semaphore.new(10)
local queue, sum = {}, 0
local consumers = {}
for i = 1, 4 do
  consumers[i] = ngx.thread.spawn(function()
    while true do
      assert(full:wait(5))
      local text = table.remove(queue, 1)
      free:post()
      if text == "end" then return end
      sum = sum + tonumber(ngx.re.match(text, [[^(?<n>\d+)$]], "jo").n)
      if sum % 7 == 0 then ngx.sleep(0) end
    end
  end)
end
local function put(text)
  assert(free:wait(5))
  queue[#queue + 1] = text
  full:post()
end
for i = 1, 100 do put(tostring(i)) end
for _ = 1, 4 do put("end") end
for i = 1, 4 do assert(ngx.thread.wait(consumers[i])) end
return sum
