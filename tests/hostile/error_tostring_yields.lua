-- Raises a value that pauses when it is shown.
-- outcome: LuaError: (error object is a table value)
error(setmetatable({}, {
  __tostring = function()
    coroutine.yield("x")
    return host.wait("x")
  end,
}))
