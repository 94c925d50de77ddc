-- Raises what looks like an error of Python's, with the fields of one.
-- outcome: LuaError: (error object is a table value)
error { type = "ValueError", message = "oops" }
