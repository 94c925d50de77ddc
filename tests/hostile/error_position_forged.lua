-- Names a place in its message that is not there.
-- outcome: LuaError: /etc/passwd:1: forged
error("/etc/passwd:1: forged", 0)
