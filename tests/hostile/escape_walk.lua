-- Walks through every table and metatable that can be reached, for functions that must not be
-- there under any name, for userdata and for other tasks' coroutines.
-- outcome: returns ''
local forbidden = {
  dump = true, execute = true, exit = true, getenv = true, gethook = true, getinfo = true,
  getregistry = true, getupvalue = true, loadlib = true, open = true, popen = true,
  preload = true, rename = true, searchers = true, searchpath = true, sethook = true,
  setlocale = true, setupvalue = true, tmpname = true,
}
local found, seen = {}, {}

local function visit(value, path)
  local kind = type(value)
  if rawequal(value, null) then return end
  if kind == "userdata" or kind == "thread" or kind == "cdata" then
    found[#found + 1] = path .. " is a " .. kind
  end
  if kind ~= "table" or seen[value] then return end
  seen[value] = true
  for key, inner in next, value do
    local name = path .. "." .. tostring(key)
    if forbidden[key] then found[#found + 1] = name end
    visit(key, name .. " (key)")
    visit(inner, name)
  end
  visit(getmetatable(value), path .. " (metatable)")
end

-- What is made when it is first used has to be there.
for _, name in ipairs { "string", "table", "math", "os", "coroutine", "utf8", "bit", "bit32" } do
  visit(_G[name], name)
end
for _, value in ipairs { _G, host, ngx, "", 1, true, visit, coroutine.running() } do
  visit(getmetatable(value), type(value) .. " (metatable)")
end
visit(_G, "_G")
visit(host, "host")
return table.concat(found, ", ")
