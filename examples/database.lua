-- Opens a connection of its own in each Lua state, and leaves the functions
-- that the tasks of the state call.

local luasql = require "luasql.sqlite3"

-- A writer that finds another one at work waits so long before it gives up.
local BUSY_TIMEOUT = 30000 -- ms

-- An init chunk has no arguments, so the path comes in the environment.
local path = assert(os.getenv "NOTES_DATABASE", "NOTES_DATABASE is not set")
local connection = assert(luasql.sqlite3():connect(path, BUSY_TIMEOUT))

-- What names this state in the table: the address of its connection.
local writer = tostring(connection):match "%((.-)%)"

function create()
  -- With a write-ahead log readers and the writer do not wait for each other.
  -- The mode belongs to the file, so it is set once.
  assert(connection:execute "PRAGMA journal_mode = WAL"):close()
  assert(connection:execute "CREATE TABLE note (writer TEXT NOT NULL, body TEXT NOT NULL)")
end

-- Inserts all notes or none, and returns how many there were.
function insert(notes)
  local rows = {}
  for i, body in ipairs(notes) do
    rows[i] = ("('%s', '%s')"):format(writer, connection:escape(body))
  end
  return assert(connection:execute("INSERT INTO note VALUES " .. table.concat(rows, ", ")))
end

-- Returns the rows of a query as a list of tables.
function query(sql)
  local cursor = assert(connection:execute(sql))
  local rows = {}
  local row = cursor:fetch({}, "a")
  while row do
    rows[#rows + 1] = row
    row = cursor:fetch({}, "a")
  end
  -- The cursor closed itself after the last row.
  return rows
end
