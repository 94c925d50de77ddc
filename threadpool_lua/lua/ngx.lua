-- The table `ngx`. Its parts, in the folder ngx, are loaded when one of their names is
-- first used; what they cannot do themselves they have Python do.

-- `call` and `restore_limit` are Python's; the latter is nil where memory has no limit.
local values, coroutines, host, environments, functions, places, limits, call, restore_limit,
  IN_SANDBOX = ...

local _G, error, load, next = _G, error, functions.load, next
local rawequal, rawget, rawset = rawequal, rawget, rawset
local setmetatable, tostring, type = setmetatable, tostring, type
local byte, dump, find, gmatch = string.byte, string.dump, string.find, string.gmatch
local loaded, preload = package.loaded, package.preload

local ESCAPE = 27 -- the first byte of bytecode

-- By name: the part that has it.
local PARTS = {
  re = "regex",
  shared = "shared",
  sleep = "sleep",
  socket = "socket",
  thread = "thread",
  run_worker_thread = "worker_thread",
  config = "config", worker = "config", get_phase = "config",
  log = "log",
  now = "time", time = "time", today = "time", localtime = "time", utctime = "time",
  update_time = "time", http_time = "time", cookie_time = "time", parse_http_time = "time",
  md5 = "hashes", md5_bin = "hashes", sha1_bin = "hashes", hmac_sha1 = "hashes",
  crc32_short = "hashes", crc32_long = "hashes",
  encode_base64 = "base64", decode_base64 = "base64", decode_base64mime = "base64",
  escape_uri = "uri", unescape_uri = "uri", encode_args = "uri", decode_args = "uri",
  quote_sql_str = "sql",
  say = "unavailable", print = "unavailable", flush = "unavailable", eof = "unavailable",
  send_headers = "unavailable", exit = "unavailable", exec = "unavailable",
  redirect = "unavailable", on_abort = "unavailable", req = "unavailable", resp = "unavailable",
  location = "unavailable", timer = "unavailable", arg = "unavailable", header = "unavailable",
  var = "unavailable",
}
local CONSTANT = "^[A-Z][A-Z0-9_]*$" -- the names that the part `constants` has

-- Values of a request. To look at them is to use them.
local NO_VALUES = { status = true, headers_sent = true, is_subrequest = true }

-- The modules that belong to ngx, and the files that they are in.
local MODULES = {
  ["ngx.re"] = "ngx_re",
  ["ngx.base64"] = "ngx_base64",
  ["ngx.semaphore"] = "ngx_semaphore",
  ["resty.core"] = "resty_core",
  ["resty.core.base"] = "resty_core_base",
  ["resty.core.time"] = "resty_core_time",
  ["resty.random"] = "resty_random",
  ["resty.string"] = "resty_string",
  ["resty.threadpool"] = "resty_threadpool",
  ["table.clear"] = "table_clear",
  ["table.clone"] = "table_clone",
  ["table.isarray"] = "table_isarray",
  ["table.isempty"] = "table_isempty",
  ["table.new"] = "table_new",
  ["table.nkeys"] = "table_nkeys",
}
for name in gmatch("base64 ctx exit hash misc phase regex request response shdict socket uri "
  .. "var worker", "%S+") do
  MODULES["resty.core." .. name] = "resty_core"
end
for name in gmatch("md5 sha1 sha224 sha256 sha384 sha512", "%S+") do
  MODULES["resty." .. name] = "resty_digest"
end

-- What is out of reach of a sandbox: what leads out of it, or to other tasks.
local NOT_IN_SANDBOX = {
  config = true, log = true, run_worker_thread = true, shared = true, socket = true, worker = true,
}
if IN_SANDBOX then MODULES["resty.threadpool"] = nil end

local ngx = { null = values.null }


-------------------------------------------------------------------- what parts use

local function restored(...)
  restore_limit()
  return ...
end

-- Calls a function of Python's on the spot.
local upcall = restore_limit and function(...) return restored(call(...)) end or call

-- The text of a value. LuaJIT and Lua 5.1 take for that whatever a `__tostring` returns.
local function text_of(value)
  local s = tostring(value)
  if type(s) ~= "string" then error("'tostring' must return a string", 3) end
  return s
end

local function ignore()
end

local function phase()
  return environments.phase
end

local api = {
  upcall = upcall, request = host.request, try_request = host.try_request,
  spend = limits and limits.spend or ignore, text_of = text_of,
  null = values.null, phase = phase, environment = environments.current,
  coroutines = coroutines, functions = functions,
  adopt = places.adopt, disown = places.disown, locate = places.locate,
  in_sandbox = IN_SANDBOX, ngx = ngx,
  has_hook = limits ~= nil and limits.HAS_HOOK,
}

local function load_file(file, name)
  local code = upcall("code", file)
  local fn, why = load(code, "=threadpool_lua/" .. file)
  if not fn then error(why, 0) end
  if byte(code) ~= ESCAPE then upcall("keep_code", file, dump(fn)) end
  if limits then limits.interpreted(fn) end
  return fn(api, name)
end

api.load = load_file


------------------------------------------------------------------------- the table

-- ngx.ctx is a table of the task that runs, whichever table `ngx` it is taken from.
local contexts = setmetatable({}, { __mode = "k" })

local function owner_of_context()
  local environment = environments.current()
  if rawequal(environment, _G) then
    error("ngx.ctx is not available where tasks have no globals of their own", 3)
  end
  return environment
end

local function context()
  local environment = owner_of_context()
  local own = contexts[environment]
  if own == nil then
    own = {}
    contexts[environment] = own
  end
  return own
end

local function set(t, name, value)
  if name == "ctx" then contexts[owner_of_context()] = value else rawset(t, name, value) end
end

local ngx_mt = { __metatable = false, __newindex = set }

function ngx_mt.__index(t, name)
  if name == "ctx" then return context() end
  local part = PARTS[name]
  if not part and type(name) == "string" and find(name, CONSTANT) then part = "constants" end
  if NO_VALUES[name] then
    error("ngx." .. name .. " is not available in a thread pool: a task has no HTTP request", 2)
  end
  if not part then return nil end
  for key, value in next, load_file("ngx/" .. part .. ".lua") do
    -- What somebody has put there is meant to stay.
    if rawget(t, key) == nil then rawset(t, key, value) end
  end
  return rawget(t, name)
end

setmetatable(ngx, ngx_mt)
_G.ngx, loaded.ngx = ngx, ngx

for name, file in next, MODULES do
  preload[name] = preload[name] or function()
    return load_file("ngx/modules/" .. file .. ".lua", name)
  end
end

-- The copies that tasks have are filled as they are used.
local copy_mt = { __metatable = false, __newindex = set }

function copy_mt.__index(t, name)
  if name == "ctx" then return context() end
  if IN_SANDBOX and NOT_IN_SANDBOX[name] then
    error("ngx." .. name .. " is not available in a sandbox", 2)
  end
  local value = ngx[name]
  if type(value) == "table" then
    value = environments.deep_copy(value, {})
  end
  rawset(t, name, value)
  return value
end

-- Returns a copy for a task.
local function new()
  return setmetatable({}, copy_mt)
end


-------------------------------------------------------------- what is run as a chunk

local natives

-- Makes a function of ours a chunk.
local function enlist(slot, name)
  natives = natives or load_file("ngx/natives.lua")
  places.enlist(slot, natives[name])
end

return enlist, new, MODULES
