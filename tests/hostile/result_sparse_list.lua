-- Says that such a table is a list.
-- outcome: MarshalError: not a key of a list
return list { "a", [1000000000] = "b" }
