-- Recurses through `pcall`, which gives the error back level by level.
-- outcome: returns False
local function dive() return (select(2, pcall(dive))) end
return dive() == nil
