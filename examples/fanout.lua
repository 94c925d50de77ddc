-- What a shop shows of a product, put together from what several backends answer.

local product = ...

-- The task pauses here until all three have answered.
local price, stock, rating = host.ask(product, "prices", "stocks", "ratings")

-- And here once more, if need be: what to ask next depends on the answers.
local replacement
if stock == 0 then replacement = host.ask(product, "replacements") end

return {
  product = product,
  price = price,
  stars = rating and ("*"):rep(rating) or "not rated",
  hurry = stock > 0 and stock < 3,
  replacement = replacement,
}
