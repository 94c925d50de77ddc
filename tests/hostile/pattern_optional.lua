-- Thirty optional parts, which make two to the power of thirty ways.
-- outcome: LuaTimeLimitError
return ("a"):rep(30):find(("a?"):rep(30) .. ("a"):rep(30) .. ("a?"):rep(30) .. "b")
