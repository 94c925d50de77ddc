-- The values that Lua itself does not have: null, and empty lists.

local error, rawequal, require = error, rawequal, require
local setmetatable, tostring, type = setmetatable, tostring, type
local format, sub, tonumber = string.format, string.sub, tonumber
local getmetatable = debug.getmetatable

local LONGEST_KEY = 60 -- bytes of a key that a message shows
local MAX_INTEGER = 2 ^ 53

-- Stands for Python's None inside a table, where nil cannot be. On LuaJIT 2.1 it
-- is the null pointer, as OpenResty's ngx.null and the null of its libraries.
local null, anchor
if package.preload["string.buffer"] then
  null = require("string.buffer").decode("\3")
elseif debug.upvalueid then
  -- A pointer that nothing else has, for as long as this function is there.
  anchor = function() return null end
  null = debug.upvalueid(anchor, 1)
else
  null = newproxy(true)
  getmetatable(null).__tostring = function() return "null" end
  getmetatable(null).__metatable = false
end

-- How the null pointer of C libraries prints.
local NULL_POINTERS = {
  ["userdata: NULL"] = true,
  ["userdata: (nil)"] = true,
  ["userdata: 0x0"] = true,
}

local function is_null(value)
  if rawequal(value, null) then return true end
  return type(value) == "userdata" and getmetatable(value) == nil
    and NULL_POINTERS[tostring(value)] or false
end

-- The tables that are lists even while they are empty.
local lists = setmetatable({}, { __mode = "k" })

-- Marks a table as a list, for Python: `return list {}`.
local function list(t)
  if t == nil then t = {} end
  local kind = is_null(t) and "null" or type(t)
  if kind ~= "table" then error("list expects a table, not a " .. kind, 2) end
  lists[t] = true
  return t
end

-- Shows a key in a path: "['users']", "[3]". No metamethod runs, and any number is
-- told from all others.
local function show_key(key)
  local kind = type(key)
  if kind == "string" then
    if #key > LONGEST_KEY then key = sub(key, 1, LONGEST_KEY) .. "..." end
    return "['" .. key .. "']"
  elseif kind == "number" then
    if key % 1 == 0 and key > -MAX_INTEGER and key < MAX_INTEGER then
      return "[" .. format("%d", key) .. "]"
    end
    local text = format("%.14g", key)
    return "[" .. (tonumber(text) == key and text or format("%.17g", key)) .. "]"
  elseif kind == "boolean" then
    return key and "[true]" or "[false]"
  end
  return "[a " .. kind .. "]"
end

return {
  null = null, anchor = anchor,
  is_null = is_null, list = list, lists = lists, show_key = show_key,
}
