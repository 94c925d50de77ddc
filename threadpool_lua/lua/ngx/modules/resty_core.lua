-- The module "resty.core" and the parts of it that only have `ngx` do something: here
-- it has no need of them.

return { version = "0.1.31" }
