-- The functions that Python gives to Lua: `host.fetch_user(id)`. A call is a request
-- that pauses the task; Python runs the function and resumes the task with what it
-- returned, or has it fail with what it raised. No Python object comes in here.

local coroutines = ...

local _G, error, setmetatable, tostring = _G, error, setmetatable, tostring
local yield = coroutine.yield
local REQUEST, CANNOT_PAUSE = coroutines.REQUEST, coroutines.CANNOT_PAUSE
local CALLER, try = coroutines.CALLER, coroutines.try

-- What Lua code sees is a table that it cannot change by mistake.
local functions = {}
local host = setmetatable({}, {
  __index = functions,
  __newindex = function(_, name)
    error("host functions are registered by Python; cannot set host." .. tostring(name), 2)
  end,
  __metatable = false,
})
_G.host = host


---------------------------------------------------------------------------- errors

-- By error: the number by which Python knows the exception that it stands for.
local numbers = setmetatable({}, { __mode = "k" })

local error_mt = {
  __tostring = function(err)
    return err.message == "" and err.type or err.type .. ": " .. err.message
  end,
  __concat = function(a, b) return tostring(a) .. tostring(b) end,
}

-- Returns what a Python exception is in Lua.
local function new_error(number, kind, message)
  local err = setmetatable({ type = kind, message = message }, error_mt)
  numbers[err] = number
  return err
end


--------------------------------------------------------------------------- functions

local function answer(yielded, ok, ...)
  if yielded and ok then return ... end
  if not yielded then error(ok .. CANNOT_PAUSE, CALLER) end
  error((...), CALLER)
end

-- Who gets the request encodes the arguments: what is called here makes the stack of a
-- coroutine larger for as long as it waits, and a hundred thousand may.
local function define(name)
  functions[name] = function(...) return answer(try(yield, REQUEST, name, ...)) end
end

return { table = host, define = define, new_error = new_error, numbers = numbers }
