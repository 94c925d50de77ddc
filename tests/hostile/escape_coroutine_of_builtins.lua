-- A coroutine whose function is one of the library's has no Lua function to have an environment.
-- outcome: returns True
local required = coroutine.wrap(pcall)(require, "io")
local loaded = coroutine.wrap(load)("return _G")
local pair = coroutine.wrap(next)(_G)
return required == false and rawequal(loaded(), _G) and pair ~= nil
