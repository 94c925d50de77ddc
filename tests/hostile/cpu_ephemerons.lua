-- Weak tables of Lua 5.4 whose keys hold each other in no order take the collector quadratic time,
-- seconds, in a single step of it.
-- outcome on luajit21: returns True
-- outcome on lua54: LuaTimeLimitError
-- the state may be lost
local SIZE = 20000
local weak = setmetatable({}, { __mode = "k" })

local function fill()
  local keys = {}
  for i = 1, SIZE do keys[i] = {} end
  for i = SIZE, 2, -1 do
    local j = math.random(i)
    keys[i], keys[j] = keys[j], keys[i]
  end
  for i = 1, SIZE - 1 do weak[keys[i]] = keys[i + 1] end
  return keys[1]
end

local first = fill()
for _ = 1, 200000 do
  local _ = {}
end
return weak[first] ~= nil
