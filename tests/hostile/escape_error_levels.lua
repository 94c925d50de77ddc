-- Blames every level of the stack in turn: none may be a Python file, or anything but text.
-- outcome: returns True
for level = 0, 300 do
  local ok, why = pcall(error, "x", level)
  if ok or type(why) ~= "string" or why:find(".py", 1, true) then return why end
end
return true
