-- Replaces every function of `string`, in which all strings of the state find their methods.
-- outcome: returns True
for name in next, string do
  string[name] = function() return "poison" end
end
string.poison = "poison"
return true
