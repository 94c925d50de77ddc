-- A result that nests deeper than Python could unpack.
-- outcome: MarshalError: nested deeper than 100
local t = {}
for _ = 1, 100000 do t = { t } end
return t
