-- The compiler takes quadratic time for the jumps of this text: ten seconds, without a hook.
-- outcome: LuaTimeLimitError
-- or: returns 'refused'
local fn = load("local x if x then " .. ("elseif x then "):rep(100000) .. "end")
return fn and "compiled" or "refused"
