-- Keys that would become one in Python.
-- outcome: MarshalError: as keys
return { [true] = 1, [1] = 2 }
