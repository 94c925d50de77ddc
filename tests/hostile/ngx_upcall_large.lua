-- Passes as large a text as there is room for, there and back.
-- outcome: LuaMemoryLimitError: memory limit
local s = ("\255"):rep(2 ^ 24 - 100)
assert(#ngx.md5(s) == 32 and ngx.crc32_long(s) and #ngx.sha1_bin(s) == 20)
return #ngx.encode_base64(s)
