-- Marks everything there is as a list, which what is no list cannot leave Lua as.
-- outcome: returns True
for _, value in ipairs { _G, host, null, ngx, string, table, list, "", 1 } do pcall(list, value) end
return true
