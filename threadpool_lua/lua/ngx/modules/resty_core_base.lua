-- The module "resty.core.base", as far as it is there for modules in Lua.

local error, require, select = error, require, select

local base = {
  version = "0.1.31",
  new_tab = require("table.new"), clear_tab = require("table.clear"),
  FFI_OK = 0, FFI_ERROR = -1, FFI_AGAIN = -2, FFI_BUSY = -3, FFI_DONE = -4, FFI_DECLINED = -5,
  FFI_NO_REQ_CTX = -100, FFI_BAD_CONTEXT = -101,
}

function base.allows_subsystem(...)
  for i = 1, select("#", ...) do
    if select(i, ...) == "http" then return end
  end
  error("unsupported subsystem: http", 2)
end

-- A task has no request.
function base.get_request()
end

return base
