-- Quoting by the rules of MySQL.

local error, select, type = error, select, type
local gsub = string.gsub

local ESCAPED = {
  ["\0"] = "\\0", ["\b"] = "\\b", ["\t"] = "\\t", ["\n"] = "\\n", ["\r"] = "\\r",
  ["\26"] = "\\Z", ['"'] = '\\"', ["'"] = "\\'", ["\\"] = "\\\\",
}

local function quote_sql_str(...)
  if select("#", ...) ~= 1 then error("expecting one argument", 2) end
  local s = ...
  if type(s) == "number" then
    s = s .. ""
  elseif type(s) ~= "string" then
    error("bad argument #1 to 'quote_sql_str' (string expected, got " .. type(s) .. ")", 2)
  end
  return "'" .. gsub(s, "[%z\b\t\n\r\26\"'\\]", ESCAPED) .. "'"
end

return { quote_sql_str = quote_sql_str }
