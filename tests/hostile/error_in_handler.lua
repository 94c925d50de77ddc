-- Fails in the handler of an error.
-- outcome: returns False
return (xpcall(error, function() error("again") end))
