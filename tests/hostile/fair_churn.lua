-- Has little, and makes much garbage: what is only garbage must not count.
-- outcome: returns True
local live, text = {}, ("x"):rep(1000)
for i = 1, 5000 do live[i] = text .. i end
for i = 1, 50000 do
  local _ = { text .. i }
end
return #live == 5000
