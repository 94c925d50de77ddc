-- Counts the primes up to a limit, with the sieve of Eratosthenes.

local limit = ...
if type(limit) ~= "number" then
  error("the limit is a number, not a " .. type(limit))
end

local composite = {}
local count = 0
for n = 2, limit do
  if not composite[n] then
    count = count + 1
    for multiple = n * n, limit, n do composite[multiple] = true end
  end
end
return count
