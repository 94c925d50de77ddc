-- Goes to the state's own globals by `package.loaded`.
-- outcome: LuaError: package
return package.loaded._G
