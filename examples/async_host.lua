-- The price of an order in cents, and a note if something about it is odd.
--
-- What the rules have to know they ask a web service for, by `host.get`. That is an
-- ordinary function here; while it waits, the thread is at work on other orders.

local order = ...

-- Returns what the service has at a path, or nil if there is nothing.
local function find(path)
  local ok, answer = pcall(host.get, path)
  if ok then return answer end
  -- What Python raised is a table with a type and a message.
  if answer.type == "LookupError" then return nil end
  error(answer, 0)
end

local customer = host.get("/customers/" .. order.customer)
local product = host.get("/products/" .. order.product)

local price = product.price * order.quantity
if order.quantity >= 10 then price = price * 0.9 end
if customer.loyal then price = price * 0.95 end

local note
if order.voucher then
  local voucher = find("/vouchers/" .. order.voucher)
  if voucher then
    price = math.max(price - voucher.value, 0)
  else
    note = "there is no voucher " .. order.voucher
  end
end

return math.floor(price + 0.5), note
