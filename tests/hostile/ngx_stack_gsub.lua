-- Nests replacements by functions.
-- outcome: returns True
-- outcome on lua54: LuaTimeLimitError: time limit
-- or: returns True
local depth, deepest = 0, 0
local function deeper()
  depth = depth + 1
  deepest = math.max(deepest, depth)
  local text = ngx.re.gsub("x", "x", deeper, "jo")
  depth = depth - 1
  return text
end
local ok, why = pcall(deeper)
return not ok and tostring(why):find("overflow") ~= nil and deepest > 50
