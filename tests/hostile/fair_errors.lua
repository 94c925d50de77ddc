-- Raises, catches and shows errors as good code does.
-- outcome: returns (False, 'expected', 'handled: x')
local ok, why = pcall(error, { code = "expected" })
local _, text = xpcall(error, function(message) return "handled: " .. message end, "x")
return ok, why.code, text
