-- How values leave a step of a task: as they are where lupa can pass them, and
-- packed where it cannot.

local write, address, AS_TEXT = ...

local select, type = select, type

-- What is passed, and how; _state.py knows the kinds by these numbers.
local NOTHING, PLAIN, PACKED, SLICED, LARGE, REFUSED = 1, 2, 3, 4, 5, 6

local LARGE_STRING = 2 ^ 18 -- bytes; longer ones take Python long enough to be fetched one by one
local MAX_INTEGER = 2 ^ 53

local function is_plain(value)
  local kind = type(value)
  if kind == "string" then return #value < LARGE_STRING end
  if kind == "number" then
    -- lupa would turn -0.0 and large doubles into integers.
    return value > -MAX_INTEGER and value < MAX_INTEGER and (value ~= 0 or 1 / value > 0)
  end
  return kind == "boolean" or kind == "nil"
end

-- A large string, until Python fetches it.
local kept

local function fetch(forget)
  local value = kept
  kept = nil
  if not forget then return value end
end

-- Makes a function that returns the kind and up to two values more, by which Python
-- gets at the values: nothing, the value, its bytes, where it is and how long, or why
-- it is refused. `what` the values are goes into that: "result", "argument".
local function encoder(as_text)
  return function(what, ...)
    local count = select("#", ...)
    if count == 0 then return NOTHING, false end -- never one value alone, which were a result
    if count == 1 then
      local value = ...
      if is_plain(value) then return PLAIN, value end
      if type(value) == "string" then
        kept = value
        return LARGE, address and address(value), #value
      end
    end
    local packed, why = write(what, as_text, count, ...)
    if packed == true then return SLICED, true end
    if packed then return PACKED, packed end
    return REFUSED, why
  end
end

return {
  encode = encoder(AS_TEXT),
  encode_binary = encoder(false), -- for values that nobody sees in Python: any string passes
  fetch = fetch, is_plain = is_plain,
  PACKED = PACKED, SLICED = SLICED, REFUSED = REFUSED,
}
