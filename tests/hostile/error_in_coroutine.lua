-- Fails in a coroutine inside of a coroutine with what is no text.
-- outcome: LuaError: (error object is a table value)
coroutine.wrap(function()
  coroutine.wrap(function() error {} end)()
end)()
