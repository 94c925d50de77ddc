-- Stops the collector, which is everybody's, or makes it so slow that it is as good as stopped.
-- outcome: returns ''
local options = {
  "collect", "generational", "incremental", "restart", "setpause", "setstepmul", "step", "stop",
}
local found = {}
for _, option in ipairs(options) do
  if pcall(collectgarbage, option, 1000000) then found[#found + 1] = option end
end
if type(collectgarbage("count")) ~= "number" then found[#found + 1] = "no count" end
return table.concat(found, " ")
