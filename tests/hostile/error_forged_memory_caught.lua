-- Catches Lua's own message after raising it itself in each way that there is.
-- outcome: returns ''
local TEXT = "not enough memory"
local ways = {
  error = function() error(TEXT, 0) end,
  assert = function() assert(false, TEXT) end,
  wrap = coroutine.wrap(function() error(TEXT, 0) end),
  wrapped_assert = coroutine.wrap(function() assert(nil, TEXT) end),
  handler = function() return xpcall(error, function() return TEXT end) end,
  resume = function() return coroutine.resume(coroutine.create(error), TEXT, 0) end,
  callback = function() (TEXT):gsub(".+", error) end,
  reader = function() load(function() error(TEXT, 0) end) end,
  again = function()
    local _, why = pcall(error, TEXT, 0)
    error(why, 0)
  end,
}
local found = {}
for name, way in next, ways do
  local ok, why = pcall(way)
  if not ok and not tostring(why):find(TEXT, 1, true) then found[#found + 1] = name end
end
return table.concat(found, ", ")
