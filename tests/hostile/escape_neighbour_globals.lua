-- Another task that is paused in this state has a global called `secret`.
-- outcome: returns True
return _G.secret == nil and rawget(_G, "secret") == nil and load("return secret")() == nil
