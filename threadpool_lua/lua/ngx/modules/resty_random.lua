-- The module resty.random of lua-resty-string. All of its bytes are strong.

local api = ...

local error, type = error, type
local spend, upcall = api.spend, api.upcall

local MOST = 1048576 -- bytes

local function bytes(count)
  if type(count) ~= "number" or not (count >= 0 and count <= MOST) then
    error("bad argument #1 to 'bytes' (number from 0 to " .. MOST .. " expected)", 2)
  end
  spend(count)
  return upcall("random", count - count % 1)
end

return { bytes = bytes }
