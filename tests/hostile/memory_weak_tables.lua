-- Keeps its tables in a weak one, and by their values all the same.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
local weak = setmetatable({}, { __mode = "k" })
local last = {}
while true do
  local key = {}
  weak[key], last = last, { key, last }
end
