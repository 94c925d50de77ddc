-- Compares long texts that differ at their ends: each instruction takes most of a millisecond.
-- outcome: LuaTimeLimitError
local a, b = ("x"):rep(8000000) .. "a", ("x"):rep(8000000) .. "b"
local less = 0
while true do
  if a < b and a <= b and a ~= b and not (b < a) then less = less + 1 end -- luacheck: ignore 581
end
