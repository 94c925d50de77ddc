-- The functions that Python gives to Lua: `host.fetch_user(id)`. A call is a request
-- that pauses the task; Python runs the function and resumes the task with what it
-- returned, or has it fail with what it raised. No Python object comes in here.

local coroutines = ...

local error, rawequal, setmetatable, tostring = error, rawequal, setmetatable, tostring
local getmetatable = debug.getmetatable
local yield = coroutine.yield
local REQUEST, CANNOT_PAUSE = coroutines.REQUEST, coroutines.CANNOT_PAUSE
local CALLER, try = coroutines.CALLER, coroutines.try

local functions = {}

local host_mt = {
  __index = functions,
  __newindex = function(_, name)
    error("host functions are registered by Python; cannot set host." .. tostring(name), 2)
  end,
  __metatable = false,
}

-- Returns a table of the functions. It cannot be changed by mistake; and on purpose,
-- no other one is changed.
local function new_table()
  return setmetatable({}, host_mt)
end

local function is_table(value)
  return rawequal(getmetatable(value), host_mt)
end


---------------------------------------------------------------------------- errors

-- By error: the number by which Python knows the exception that it stands for.
local numbers = setmetatable({}, { __mode = "k" })

local error_mt = {
  __tostring = function(err)
    return err.message == "" and err.type or err.type .. ": " .. err.message
  end,
  __concat = function(a, b) return tostring(a) .. tostring(b) end,
  __metatable = false,
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

-- Pauses the task for something that Python does for a part of `ngx`.
local function request(name, ...)
  return answer(try(yield, REQUEST, false, name, ...))
end

-- Returns whether it could pause, and then whether that went well, and the results.
local function try_request(name, ...)
  return try(yield, REQUEST, false, name, ...)
end

return {
  request = request, try_request = try_request, new_table = new_table, is_table = is_table,
  define = define, new_error = new_error, numbers = numbers,
}
