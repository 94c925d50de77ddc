-- A band of a picture of the Mandelbrot set: the rows from `first` up to `last`
-- (counted from 0), each of them `width` pixels of red, green and blue.

local width, height, first, last, iterations = ...

local ffi = require "ffi"
local cos, log = math.cos, math.log

-- The part of the plane that is shown is 2.5 high, so circles are circles at any size.
local STEP = 2.5 / height
local LEFT, TOP = -0.65 - STEP * width / 2, -1.25

-- Far beyond the 2 at which a point is lost, so that the colours have no visible edges.
local ESCAPE = 2 ^ 16

local pixels = ffi.new("uint8_t[?]", (last - first) * width * 3) -- all black
local at = 0

for row = first, last - 1 do
  local cy = TOP + (row + 0.5) * STEP
  for column = 0, width - 1 do
    local cx = LEFT + (column + 0.5) * STEP
    local x, y, xx, yy, n = 0, 0, 0, 0, 0
    while xx + yy < ESCAPE and n < iterations do
      y = 2 * x * y + cy
      x = xx - yy + cx
      xx, yy = x * x, y * y
      n = n + 1
    end
    -- A point that stays is in the set, and remains black.
    if xx + yy >= ESCAPE then
      local depth = n - log(log(xx + yy)) / log(2)
      local hue = 3 + depth * 0.15
      pixels[at] = 127.5 + 127.5 * cos(hue)
      pixels[at + 1] = 127.5 + 127.5 * cos(hue + 0.6)
      pixels[at + 2] = 127.5 + 127.5 * cos(hue + 1)
    end
    at = at + 3
  end
end

return ffi.string(pixels, at)
