-- A table that looks like a list of a billion.
-- outcome: returns {1: 'a', 1000000000: 'b'}
return { "a", [1000000000] = "b" }
