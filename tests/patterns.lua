-- Runs the functions of patterns.lua and C's side by side, in a plain runtime.

-- The source of patterns.lua, a function of Python's or nil, and a budget or nil.
local source, costs, budget = ...

local select, tostring, type = select, tostring, type
local unpack = table.unpack or unpack
local concat, format, kind_of = table.concat, string.format, math.type or type

if jit then jit.off() end -- its compiled code has no hooks

local function spend(cost)
  local why = costs and costs(cost)
  if why then error(why, 0) end
end

local function enter(f, ...)
  return f(...)
end

local load = loadstring or load
local guarded = load(source, "=patterns.lua")(spend, enter, budget)
local native = {
  find = string.find, match = string.match, gmatch = string.gmatch, gsub = string.gsub,
}

local function show(...)
  local values = {}
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    values[i] = (value == nil and "nil" or kind_of(value) or type(value)) .. " "
      .. format("%q", tostring(value))
  end
  return concat(values, ", ")
end

-- The first results of an iterator, and some of what it returns after the last.
local function iterate(step)
  local results = {}
  for i = 1, 20 do results[i] = show(step()) end
  return concat(results, "; ")
end

local replacements = {
  keeps = function() return nil end,
  counts = function(...) return "<" .. select("#", ...) .. tostring((...)) .. ">" end,
  varies = function(capture)
    if capture == "a" then return false end
    return capture == "b" and {} or 42
  end,
  fails = function() error("no replacement") end,
  fields = { a = "A", b = false, ab = 1.5, [""] = "empty", [1] = "one", [2] = "two" },
  index = setmetatable({}, { __index = function(_, key) return "(" .. tostring(key) .. ")" end }),
  wrong = { a = {}, b = true },
}

-- Returns the results of a call, or its error, as a text.
local function outcome(functions, name, ...)
  local arguments, count = { ... }, select("#", ...)
  if name == "gsub" then arguments[3] = replacements[arguments[3]] or arguments[3] end
  local f = functions[name]
  local ok, result = pcall(function()
    if name == "gmatch" then return iterate(f(unpack(arguments, 1, count))) end
    return (show(f(unpack(arguments, 1, count))))
  end)
  return (ok and "" or "error: ") .. result
end

-- Runs a function with a hook that ends it.
local function hooked(f, instructions, ...)
  debug.sethook(function() error("interrupted", 0) end, "", instructions)
  local ok, why = pcall(f, ...)
  debug.sethook()
  return ok, why
end

return {
  compare = function(...)
    return outcome(native, ...), outcome(guarded, ...)
  end,
  run = function(name, ...)
    return outcome(guarded, name, ...)
  end,
  interrupt = function(name, ...)
    local f = guarded[name]
    if name ~= "gmatch" then return hooked(f, 100000, ...) end
    return hooked(f(...), 100000)
  end,
  execute = function(code, ...)
    return load(code)(guarded, ...)
  end,
}
