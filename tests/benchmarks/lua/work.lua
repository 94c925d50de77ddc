--- What the contenders have a thread do, each in its own way: the same Lua in all of them.
local ffi = require("ffi")

ffi.cdef([[
  int usleep(unsigned int microseconds);
  int fileno(void *file);
  int posix_fadvise(int file, int64_t offset, int64_t length, int advice);
]])

local PIECE = 65536
local DONT_NEED = 4 -- POSIX_FADV_DONTNEED of Linux

local work = {}

function work.add(a, b)
  return a + b
end

--- Block the thread in C, as a driver of a database does.
function work.block(milliseconds)
  ffi.C.usleep(milliseconds * 1000)
  return milliseconds
end

--- Compute: LuaJIT compiles this.
function work.spin(count)
  local n = 0
  for i = 1, count do
    n = n + i % 3
  end
  return n
end

--- Make a string of so many bytes.
function work.text(size)
  return ("x"):rep(size)
end

--- Read a file to its end, and have Linux forget it, so that the next reader waits for the disk.
function work.read(path)
  local file = assert(io.open(path, "rb"))
  local size = 0
  while true do
    local piece = file:read(PIECE)
    if not piece then
      break
    end
    size = size + #piece
  end
  if jit.os == "Linux" then
    ffi.C.posix_fadvise(ffi.C.fileno(file), 0, 0, DONT_NEED)
  end
  file:close()
  return size
end

return work
