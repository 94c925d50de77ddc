-- A text of megabytes, there and back.
-- outcome: returns True
local text = ("0123456789"):rep(400000)
return host.echo(text) == text
