-- A large text that is no text at its very end.
-- outcome: MarshalError: is not valid UTF-8
return ("x"):rep(5000000) .. "\255"
