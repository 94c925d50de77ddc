-- ngx.sleep: the task pauses, and holds no thread.

local api = ...

local error, tonumber, tostring, type = error, tonumber, tostring, type
local request = api.request

local FOREVER = 2 ^ 31 -- seconds; more than a loop's timer takes for a time

local function sleep(seconds)
  local time = type(seconds) == "string" and tonumber(seconds) or seconds
  if type(time) ~= "number" then
    error("bad argument #1 to 'sleep' (number expected, got "
      .. (seconds == nil and "no value" or type(seconds)) .. ")", 2)
  end
  if not (time >= 0 and time < FOREVER) then
    error("invalid sleep duration \"" .. tostring(seconds) .. "\"", 2)
  end
  request("sleep", time)
end

return { sleep = sleep }
