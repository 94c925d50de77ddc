-- Replaces `_G`, and with it the globals of code that is loaded later.
-- outcome: returns True
local mine = {}
rawset(_G, "_G", mine)
rawset(mine, "poison", "poison")
load("poison = 'poison'")()
return true
