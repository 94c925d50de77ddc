-- A result that contains itself.
-- outcome: MarshalError: contains itself
local t = {}
t.t = { t }
return t
