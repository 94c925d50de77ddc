-- Dumps a function, to change its bytecode and load that: `string.dump` by way of a method, too.
-- outcome: returns True
return string.dump == nil and ("").dump == nil and rawget(string, "dump") == nil
