-- Puts many long texts together in one instruction.
-- outcome: LuaMemoryLimitError
local text = ("x"):rep(1000000)
return #load("local s = ... return " .. ("s .. "):rep(100) .. "s")(text)
