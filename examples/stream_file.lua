-- Reads a CSV file, and yields for each of its rows the text in one column and the
-- number in another. Only the row at hand is in memory, however long the file is.

local path, text_column, number_column = ...

-- In bytes. Beyond it a quote is rather one that nobody closed.
local LONGEST_ROW = 2 ^ 16

local QUOTE, COMMA = ('"'):byte(), (","):byte()

-- Level 0 leaves the position in this code out: the one in the file matters.
local file, why_not = io.open(path)
if not file then error(why_not, 0) end

if file:read(3) ~= "\239\187\191" then file:seek("set") end -- a byte order mark is no text

local line_number = 0 -- of the line that was read last

local function fail(line, what)
  error(("%s:%d: %s"):format(path, line, what), 0)
end

local function read_line()
  local line, why = file:read "*l"
  if why then error(path .. ": " .. why, 0) end
  if not line then return nil end
  line_number = line_number + 1
  return (line:gsub("\r$", ""))
end

-- Returns the next row that is not empty, and the number of its first line. As long
-- as a quote is open, which makes their number odd, the row goes on in the next line.
local function read_row()
  local row = read_line()
  while row == "" do row = read_line() end
  local first = line_number
  while row and select(2, row:gsub('"', "")) % 2 == 1 do
    local line = read_line()
    if not line or #row > LONGEST_ROW then fail(first, "a quoted field does not end") end
    row = row .. "\n" .. line
  end
  return row, first
end

-- Returns the fields of a row.
local function split(row, line)
  local fields, at = {}, 0
  repeat
    at = at + 1 -- behind the comma
    local field
    if row:byte(at) == QUOTE then
      -- "a ""b"" c" is the quoted pieces "a ", "b" and " c", with quotes between them.
      local pieces = {}
      repeat
        pieces[#pieces + 1], at = row:match('^"([^"]*)"()', at)
      until row:byte(at) ~= QUOTE
      field = table.concat(pieces, '"')
    else
      field, at = row:match('^([^,"]*)()', at)
    end
    if at <= #row and row:byte(at) ~= COMMA then fail(line, "a quote is out of place") end
    fields[#fields + 1] = field
  until at > #row
  return fields
end

local header = split(read_row() or fail(1, "the file is empty"), 1)

local function column(name)
  for i, title in ipairs(header) do
    if title == name then return i end
  end
  fail(1, ("there is no column '%s'"):format(name))
end

local text, number = column(text_column), column(number_column)

for row, line in read_row do
  local fields = split(row, line)
  if #fields ~= #header then
    fail(line, ("the row has %d fields instead of %d"):format(#fields, #header))
  end
  local value = tonumber(fields[number])
  if not value then fail(line, ("'%s' is not a number"):format(fields[number])) end
  coroutine.yield(fields[text], value)
end

file:close()
