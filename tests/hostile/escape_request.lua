-- A call of a host function inside of a coroutine is a request that passes through who resumes it;
-- nothing of that may show.
-- outcome: returns True
local co = coroutine.create(function(a)
  local b = host.echo(a)
  local c = host.wait(b)
  local d = coroutine.yield(c)
  return host.echo(d)
end)
local first = { coroutine.resume(co, "one") }
local second = { coroutine.resume(co, "two") }
return #first == 2 and first[2] == "one" and #second == 2 and second[2] == "two"
  and coroutine.status(co) == "dead"
