-- What the echo server does with a line. This runs once in each Lua state and
-- leaves the global function `reply` there for the tasks.

local ffi = require "ffi"

-- Declared here, and not in `reply`, because one declaration per state is enough.
ffi.cdef "int poll(void *fds, unsigned long count, int timeout);"

local LONGEST_SLEEP = 60 -- seconds

function reply(line)
  local seconds = line:match "^sleep%s+(.-)%s*$"
  if not seconds then return line end

  local number = tonumber(seconds)
  if not (number and number >= 0 and number <= LONGEST_SLEEP) then
    -- Level 0 leaves the position out: the message is for the client.
    error(("sleep takes 0 to %d seconds, not '%s'"):format(LONGEST_SLEEP, seconds), 0)
  end
  -- This blocks the whole thread, as a slow C library would.
  ffi.C.poll(nil, 0, number * 1000)
  return "slept " .. seconds
end
