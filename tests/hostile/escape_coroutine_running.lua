-- Resumes, closes and wraps the coroutine of the task itself, from inside of another.
-- outcome: returns True
local task = coroutine.running()
local resumed = coroutine.wrap(function() return (coroutine.resume(task)) end)()
local itself = coroutine.resume(task)
local closed = coroutine.wrap(function()
  return coroutine.close and (pcall(coroutine.close, task))
end)()
return not resumed and not itself and not closed and coroutine.status(task) == "running"
