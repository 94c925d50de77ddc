-- Replaces each of many matches by a long text, and keeps what comes of it.
-- outcome: LuaMemoryLimitError: memory limit
local long = ("y"):rep(100000)
return #ngx.re.gsub(("x"):rep(1000), "x", function(m) return long .. m[0] end, "jo")
