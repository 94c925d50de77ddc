-- Runs SQL on the state's connection: returns the rows of a query, or else the
-- number of rows changed.

local cursor = assert(database:execute(...))
if type(cursor) == "number" then return cursor end
local rows = {}
local row = cursor:fetch({}, "a")
while row do
  rows[#rows + 1] = row
  row = cursor:fetch({}, "a")
end
cursor:close()
return rows
