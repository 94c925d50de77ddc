-- Compiles code with many texts in it, and keeps it.
-- outcome: LuaMemoryLimitError
-- or: LuaTimeLimitError
local kept, count = {}, 0
while true do
  local texts = {}
  for i = 1, 1000 do
    count = count + 1
    texts[i] = "'" .. ("text"):rep(100) .. count .. "'"
  end
  kept[#kept + 1] = load("return {" .. table.concat(texts, ",") .. "}")
end
