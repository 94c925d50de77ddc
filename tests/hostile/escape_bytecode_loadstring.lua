-- Loads bytecode by `loadstring`, which takes it without a mode.
-- outcome: returns True
local bytecode = "\27LJ\2\10\23\2\0\1\0\1\0\2'\0\0\0L\0\2\0\12escaped\0"
return loadstring == nil or not loadstring(bytecode)
