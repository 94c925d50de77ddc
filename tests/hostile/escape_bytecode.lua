-- Loads good bytecode of both implementations, with each mode: it could read any memory.
-- outcome: returns True
local compiled = {
  "\27LJ\2\10\23\2\0\1\0\1\0\2'\0\0\0L\0\2\0\12escaped\0",
  "\27LuaT\0\25\147\13\10\26\10\4\8\8xV\0\0\0\0\0\0\0\0\0\0\0(w@\1\128\128\128\0\1\2\132Q\0\0\0"
    .. "\3\0\0\0F\0\2\1F\0\1\1\129\4\136escaped\129\1\0\0\128\128\128\128\128",
}
for _, bytecode in ipairs(compiled) do
  for _, prefix in ipairs { "", "\239\187\191", "#!lua\n", "\n" } do
    for _, mode in ipairs { "b", "bt", "tb", "t", "" } do
      local ok, fn = pcall(load, prefix .. bytecode, "=x", mode)
      if ok and fn then return "escaped: " .. fn() end
    end
    local ok, fn = pcall(load, prefix .. bytecode)
    if ok and fn then return "escaped: " .. fn() end
  end
end
return true
