-- More captures than there can be.
-- outcome: LuaError: too many captures
return ("x"):rep(40):find(("(x)"):rep(33))
