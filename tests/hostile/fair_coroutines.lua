-- Has a thousand coroutines at work.
-- outcome: returns 500500
local all, sum = {}, 0
for i = 1, 1000 do
  all[i] = coroutine.wrap(function()
    coroutine.yield()
    return host.echo(i)
  end)
  all[i]()
end
for i = 1, 1000 do sum = sum + all[i]() end
return sum
