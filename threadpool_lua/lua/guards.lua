-- Replaces the functions of the libraries by which a task could get by its limits:
-- those that catch errors, and those that load code.

-- `REFUSES_BYTECODE` is whether `load` takes text only.
local limits, REFUSES_BYTECODE = ...

local _G, error, next, pcall, select = _G, error, next, pcall, select
local type, xpcall = type, xpcall
local caught, survived, is_fatal, raising = limits.caught, limits.survived, limits.is_fatal,
  limits.raising
local spend, interpreted = limits.spend, limits.interpreted
local coroutine, string, table = coroutine, string, table
local byte, concat, getinfo = string.byte, table.concat, debug.getinfo

local ESCAPE = 27 -- the first byte of bytecode


---------------------------------------------------------------- what catches errors

-- From Lua 5.2 on what is caught in a coroutine costs time in proportion to the depth
-- of its stack, which may be a million. LuaJIT's is small.
local MAX_LEVELS = 10000

local function check_depth()
  if not jit and getinfo(MAX_LEVELS, "l") then error("stack overflow", 3) end
end

function _G.pcall(...)
  check_depth()
  return caught(pcall(...))
end

local function handled(...)
  raising((...))
  return ...
end

function _G.xpcall(f, handler, ...)
  if handler == nil then return xpcall(f) end -- which fails
  check_depth()
  return caught(xpcall(f, function(why)
    -- Where a hook has raised it, there are no hooks here.
    if is_fatal(why) then return why end
    return handled(handler(why))
  end, ...))
end

if limits.HAS_MEMORY_LIMIT then
  local _, text = pcall(function() assert(false, "") end)
  local assert_names_caller = text ~= ""

  function _G.error(why, level)
    raising(why)
    if level == nil then level = 1 end
    error(why, type(level) == "number" and level > 0 and level + 1 or level)
  end

  function _G.assert(...)
    local ok, why = ...
    if ok then return ... end
    if select("#", ...) == 0 then error("bad argument #1 to 'assert' (value expected)", 2) end
    if select("#", ...) == 1 then why = "assertion failed!" end
    raising(why)
    error(why, assert_names_caller and 2 or 0)
  end
end

-- Functions of C whose strings may be garbage at once, for which nobody collects in time.
if limits.HAS_MEMORY_LIMIT then
  local function built(text, ...)
    if type(text) == "string" then spend(#text) end
    return text, ...
  end

  local function builder(f)
    return function(...) return built(f(...)) end
  end

  for _, name in next, { "format", "gsub", "lower", "rep", "reverse", "upper" } do
    string[name] = builder(string[name])
  end
  table.concat = builder(concat)
end

local create, close = coroutine.create, coroutine.close

function coroutine.create(f)
  return limits.watch(create(f))
end

if close then
  function coroutine.close(co)
    return survived(close(co))
  end
end


---------------------------------------------------------------- what loads code

local function gather(read)
  local pieces = {}
  while true do
    local piece = read()
    if piece == nil or piece == "" then return concat(pieces) end
    if type(piece) ~= "string" then error("reader function must return a string", 0) end
    spend(#piece)
    pieces[#pieces + 1] = piece
  end
end

local function loader(load)
  return load and function(code, ...)
    if type(code) == "function" then
      -- Lua itself would catch the errors of the function that reads.
      local ok, text = caught(pcall(gather, code))
      if not ok then return nil, text end
      code = text
    end
    if type(code) == "string" then
      if REFUSES_BYTECODE and byte(code) == ESCAPE then
        return nil, "attempt to load a binary chunk"
      end
      local why = limits.why_not_compiled(code)
      if why then return nil, why end
      spend(#code * 16)
    end
    return interpreted(load(code, ...))
  end
end

-- Lua 5.1's load takes functions only, which are read by now.
local is_puc_51 = setfenv and not jit
_G.load, _G.loadstring = loader(is_puc_51 and loadstring or load), loader(loadstring)
local load_text = _G.load

if jit then
  local assert, loadfile = assert, loadfile

  function _G.loadfile(...)
    return interpreted(loadfile(...))
  end

  function _G.dofile(...)
    return assert(_G.loadfile(...))()
  end

  for i, search in next, package.loaders do
    package.loaders[i] = function(...)
      return interpreted(search(...))
    end
  end
end

return load_text
