-- The globals that every state has: Lua's libraries without the road into Python that
-- lupa puts among them, and the names of this library.

local values, host, nesting, package_path, package_cpath = ...

local _G, error, type = _G, error, type
local gsub = string.gsub

_G.python = nil
package.loaded.python = nil

-- In Lua's own notation, ";;" stands for the implementation's default path.
-- Without a cpath no C module loads: one that was built for another Lua
-- implementation than the first with a cpath would crash the process.
if package_path then
  package.path = (gsub(package_path, ";;", function() return ";" .. package.path .. ";" end))
end
if package_cpath then
  package.cpath = (gsub(package_cpath, ";;", function() return ";" .. package.cpath .. ";" end))
else
  package.cpath = ""
end

os.exit = function()
  error("os.exit is not available on a thread pool: it would end the whole process", 2)
end

if jit then
  function string.gsub(s, pattern, replacement, ...)
    if type(replacement) == "string" then return gsub(s, pattern, replacement, ...) end
    return nesting.enter(gsub, s, pattern, replacement, ...)
  end
end

_G.null = values.null
_G.list = values.list
_G.host = host.new_table()
