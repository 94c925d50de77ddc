-- The values that Lua itself does not have: null, and empty lists.

local error, rawequal, require = error, rawequal, require
local setmetatable, tostring, type = setmetatable, tostring, type
local getmetatable = debug.getmetatable

-- Stands for Python's None inside a table, where nil cannot be. On LuaJIT 2.1 it
-- is the null pointer, as OpenResty's ngx.null and the null of its libraries.
local null
if package.preload["string.buffer"] then
  null = require("string.buffer").decode("\3")
else
  null = setmetatable({}, {
    __tostring = function() return "null" end,
    __index = function() error("attempt to index null", 2) end,
    __newindex = function() error("attempt to index null", 2) end,
    __metatable = false,
  })
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
  if type(t) ~= "table" then error("list expects a table, not a " .. type(t), 2) end
  lists[t] = true
  return t
end

return { null = null, is_null = is_null, list = list, lists = lists }
