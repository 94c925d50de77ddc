-- What the program is that tasks run in: as nginx with one worker process, which is
-- the Python process.

local api = ...

local upcall = api.upcall

local config = {
  subsystem = "http", -- for modules that know "http" and "stream" only
  debug = false,
  -- Those whose functions these are.
  nginx_version = 1027001,
  ngx_lua_version = 10028,
}

function config.nginx_configure()
  return ""
end

function config.prefix()
  return upcall("prefix")
end

local worker = {}

function worker.id()
  return 0
end

function worker.count()
  return 1
end

function worker.pid()
  return upcall("pid")
end

function worker.pids()
  if api.phase() == "init" then return nil, "API disabled in the current context" end
  return { upcall("pid") }
end

function worker.exiting()
  return upcall("exiting")
end

return { config = config, worker = worker, get_phase = api.phase }
