-- `_ENV` could be another table than `_G`, with more in it.
-- outcome: returns True
return _ENV == nil or rawequal(_ENV, _G)
