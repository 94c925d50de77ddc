-- Connects a state to PostgreSQL, as libpq's environment variables say.

local getenv = os.getenv
local environment = assert(require("luasql.postgres").postgres())
database = assert(environment:connect(
  getenv("PGDATABASE") or "test",
  getenv("PGUSER") or "postgres",
  getenv("PGPASSWORD") or "",
  getenv("PGHOST") or "127.0.0.1",
  getenv("PGPORT") or "5432"
))
