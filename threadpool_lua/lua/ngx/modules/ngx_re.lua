-- The module ngx.re, whose functions are in regex.lua.

local api = ...

local _ = api.ngx.re -- which loads it

return { split = api.regex.split, opt = api.regex.opt }
