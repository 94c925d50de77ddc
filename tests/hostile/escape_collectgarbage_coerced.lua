-- Names an option of the collector by a value that is only taken for text later.
-- outcome: returns False
local stop = setmetatable({}, {
  __tostring = function() return "stop" end,
  __eq = function() return true end,
})
return (pcall(collectgarbage, stop))
