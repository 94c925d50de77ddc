-- An exception of a host function may lead to its traceback, and by that to Python's frames.
-- outcome: returns {'type': 'ValueError', 'message': 'oops'}
local _, why = pcall(host.fail)
if tostring(why) ~= "ValueError: oops" then return "escaped: " .. tostring(why) end
for _, name in ipairs { "__traceback__", "__class__", "__cause__", "args", "with_traceback" } do
  if why[name] ~= nil then return "escaped: " .. name end
end
return why
