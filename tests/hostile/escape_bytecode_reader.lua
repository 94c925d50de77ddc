-- Hands bytecode to `load` by a function, in pieces of any size, so that it does not begin with
-- the mark of bytecode where somebody looks.
-- outcome: returns True
local compiled = {
  "\27LJ\2\10\23\2\0\1\0\1\0\2'\0\0\0L\0\2\0\12escaped\0",
  "\27LuaT\0\25\147\13\10\26\10\4\8\8xV\0\0\0\0\0\0\0\0\0\0\0(w@\1\128\128\128\0\1\2\132Q\0\0\0"
    .. "\3\0\0\0F\0\2\1F\0\1\1\129\4\136escaped\129\1\0\0\128\128\128\128\128",
}
for _, bytecode in ipairs(compiled) do
  for _, size in ipairs { 1, 2, 5, 1000 } do
    for _, mode in ipairs { "b", "bt", "t" } do
      local at = 1 - size
      local function read()
        at = at + size
        return bytecode:sub(at, at + size - 1)
      end
      local ok, fn = pcall(load, read, "=x", mode)
      if ok and fn then return "escaped: " .. fn() end
    end
  end
end
return true
