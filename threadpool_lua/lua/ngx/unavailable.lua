-- The names that make no sense in a thread pool. Modules may look at them, and keep
-- functions in locals, as they do at their top; what fails is using them.

local error, next, setmetatable = error, next, setmetatable
local tostring, type = tostring, type

local NO_REQUEST = "a task has no HTTP request"
local NO_TIMER = "submit another task from Python, or use ngx.thread.spawn and ngx.sleep"

local FUNCTIONS = {
  "say", "print", "flush", "eof", "send_headers", "exit", "exec", "redirect", "on_abort",
}

local TABLES = {
  req = {
    "is_internal", "start_time", "http_version", "raw_header", "get_method", "set_method",
    "set_uri", "set_uri_args", "get_uri_args", "get_post_args", "get_headers", "set_header",
    "clear_header", "read_body", "discard_body", "get_body_data", "get_body_file",
    "set_body_data", "set_body_file", "init_body", "append_body", "finish_body", "socket",
  },
  resp = { "get_headers", "set_status" },
  location = { "capture", "capture_multi" },
}

local TIMERS = { "at", "every", "running_count", "pending_count" }

local function failing(name, why)
  return function() error(name .. " is not available in a thread pool: " .. why, 2) end
end

local function functions(prefix, names, why)
  local made = {}
  for _, name in next, names do made[name] = failing(prefix .. name, why) end
  return made
end

-- A table whose fields are out of reach.
local function no_fields(name, why)
  local function fail(_, field)
    field = type(field) == "string" and "." .. field or "[" .. tostring(field) .. "]"
    error(name .. field .. " is not available in a thread pool: " .. why, 2)
  end
  return setmetatable({}, { __index = fail, __newindex = fail, __metatable = false })
end

local unavailable = functions("ngx.", FUNCTIONS, NO_REQUEST)
for name, names in next, TABLES do
  unavailable[name] = functions("ngx." .. name .. ".", names, NO_REQUEST)
end
unavailable.timer = functions("ngx.timer.", TIMERS, NO_TIMER)
for _, name in next, { "arg", "header", "var" } do
  unavailable[name] = no_fields("ngx." .. name, NO_REQUEST)
end

return unavailable
