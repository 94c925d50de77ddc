-- Fails in every way there is, for ever.
-- outcome: LuaTimeLimitError
local ways = {
  error,
  function() return nil + 1 end,
  function() return ("x").x.y end,
  function() return #nil end,
  function() return {} < {} end,
  function() return ("x"):rep(-1, {}, {}) .. {} end,
  function() string.format("%d", "x") end,
  function() setmetatable(1, 2) end,
  function() load("return (")() end,
}
while true do
  for _, way in ipairs(ways) do pcall(way) end
end
