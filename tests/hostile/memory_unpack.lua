-- Asks for as many values as a stack cannot hold.
-- outcome: LuaError: too many results to unpack
return (unpack or table.unpack)({}, 1, 100000000)
