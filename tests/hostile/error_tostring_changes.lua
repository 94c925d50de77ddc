-- Raises a value that replaces its metatable while it is shown.
-- outcome: LuaError: shown
local why
why = setmetatable({}, {
  __tostring = function()
    setmetatable(why, { __tostring = error, __index = error })
    return "shown"
  end,
})
error(why)
