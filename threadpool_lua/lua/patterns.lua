-- string.find, match, gmatch and gsub for tasks with a time limit. No hook interrupts
-- the functions of C, so they get only what cannot take them long. For the rest there is
-- a loop in Lua over the places where a match may begin; and where a single place may take
-- long, the same algorithm in Lua.

-- `spend(cost)` hears of the work, in steps, that a function of C does at worst.
-- `enter(f, ...)` calls a function of C that calls back. `BUDGET` is how many steps a call
-- of C may take; one takes 7 nanoseconds at most, and mostly far less than that.
local spend, enter, BUDGET = ...
if jit then jit.off(true, true) end -- Compiled code has no hooks.
BUDGET = BUDGET or 4e6

local error, getmetatable, next, pcall, select = error, getmetatable, next, pcall, select
local setmetatable, tonumber, type = setmetatable, tonumber, type
local byte, char, rep, sub = string.byte, string.char, string.rep, string.sub
local find, match, gmatch, gsub = string.find, string.match, string.gmatch, string.gsub
local concat, getinfo = table.concat, debug.getinfo
local floor, huge, max, min = math.floor, math.huge, math.max, math.min

local FREE = BUDGET / 1000 -- steps that are not worth being counted
local BYTES = 10 -- that are copied or compared in the time of a step, with much to spare
local BLOCK = 2 ^ 16 -- bytes of a string that C may have at a time, whatever it does
local LONG = 64 -- bytes of an item that is no good for being looked for

local TEXT = { string = true, number = true } -- the types that are taken for text
local REPLACEMENT = { string = true, number = true, table = true, ["function"] = true }

-- A table that makes what it does not hold, and holds some hundreds of short texts.
local function memo(make)
  local MOST, LONGEST = 256, 1000
  local count = 0
  return setmetatable({}, {
    __index = function(known, text)
      if type(text) ~= "string" then return nil end
      local value = make(text)
      if #text > LONGEST then return value end
      if count == MOST then
        for other in next, known do known[other] = nil end
        count = 0
      end
      count = count + 1
      known[text] = value
      return value
    end,
  })
end


----------------------------------------------- what differs between implementations

local function failure(f, ...)
  local ok, why = pcall(f, ...)
  return not ok and why or nil
end

local ENDS_IN_ESCAPE, NO_BRACKET = failure(find, "a", "%"), failure(find, "a", "[a")
local NO_BALANCE, NO_FRONTIER = failure(find, "a", "%b"), failure(find, "a", "%f")
local NOT_OPEN, UNFINISHED = failure(match, "a", ")"), failure(find, "a", "(a")
local TOO_MANY_CAPTURES = failure(find, "a", rep("()", 33))
local NO_CAPTURE, NO_CAPTURE_TO_PUT = failure(find, "a", "%1"), failure(gsub, "a", "a", "%2")
local BAD_ESCAPE = failure(gsub, "a", "a", "%x") -- Lua 5.1 takes it for an x
local TOO_COMPLEX = failure(find, rep("a", 300), rep("a?", 300)) -- not so Lua 5.1

-- How deep matching may nest; and whether it nests for an item that is there no times.
local MAX_DEPTH = TOO_COMPLEX and 200 or huge
local ALWAYS_NESTS = failure(find, "", rep("a*", 300)) ~= nil

-- Whether patterns end at a NUL; and whether characters behind one make a pattern of what
-- is else plain text.
local NUL_ENDS, LOOKS_BEHIND_NUL = match("a", "a\0b") ~= nil, find("a", "a\0%") == 1

-- Whether an empty match may follow another match at once.
local EMPTY_FOLLOWS = select(2, gsub("a", "a*", "")) == 2
local GMATCH_TAKES_INIT = gmatch("a", "a", 2)() == nil

-- What functions are called in messages where nobody knows better.
local names = {}
for _, f in next, { find, match, gmatch, gsub } do
  names[f] = match(failure(f), "to '([^']*)'")
end

-- Raises what `f` does for arguments that it refuses, as if the caller were `f`.
local function refuse(f, ...)
  local why = failure(f, ...)
  local number, reason = match(why, "^bad argument #(%d+) to '[^']*' (%(.*)$")
  if not number then error(why, 0) end
  local caller = getinfo(2, "n")
  local name = caller.name or names[f]
  if caller.namewhat == "method" then number = number - 1 end
  if number == 0 then error("calling '" .. name .. "' on bad self " .. reason, 3) end
  error("bad argument #" .. number .. " to '" .. name .. "' " .. reason, 3)
end


---------------------------------------------------------------- what patterns hold

-- Returns the place behind the item of one character at `i`, or what is wrong with it.
local function item_end(p, i)
  local c = sub(p, i, i)
  if c == "%" then
    if i == #p then return nil, ENDS_IN_ESCAPE end
    return i + 2
  end
  if c ~= "[" then return i + 1 end
  i = i + 1
  if sub(p, i, i) == "^" then i = i + 1 end
  repeat
    if i > #p then return nil, NO_BRACKET end
    i = i + (sub(p, i, i) == "%" and i < #p and 2 or 1)
  until sub(p, i, i) == "]"
  return i + 1
end

local function plain(c)
  return match(c, "%p") and "%" .. c or c
end

-- Patterns begin at their first character, or behind the anchor.
local function begins(p)
  return byte(p) == 94 and 2 or 1 -- a ^
end

local function until_nul(p)
  local nul = NUL_ENDS and find(p, "\0", 1, true)
  return nul and sub(p, 1, nul - 1) or p
end

local function has_any(p, set)
  for i = 1, #p, BLOCK do
    spend(min(#p, BLOCK))
    if find(sub(p, i, i + BLOCK - 1), set) then return true end
  end
  return false
end

-- Returns the items of a pattern, up to the first that is malformed: it is an error only when
-- matching gets there. And of each capture, whether it is a "position", "closed" or still "open".
local function parse(p)
  local items, captures, i = {}, {}, begins(p)

  local function add(width, kind, text, capture)
    items[#items + 1] = { kind = kind, text = text, capture = capture, suffix = "" }
    i = i + width
  end

  local function fail(why)
    add(huge, "malformed", why)
  end

  while i <= #p do
    local c, following = sub(p, i, i), sub(p, i + 1, i + 1)
    if c == "(" then
      if #captures == 32 then
        fail(TOO_MANY_CAPTURES)
      elseif following == ")" then
        captures[#captures + 1] = "position"
        add(2, "position", "", #captures)
      else
        captures[#captures + 1] = "open"
        add(1, "open", "", #captures)
      end
    elseif c == ")" then
      local last = #captures
      while last > 0 and captures[last] ~= "open" do last = last - 1 end
      if last == 0 then
        fail(NOT_OPEN)
      else
        captures[last] = "closed"
        add(1, "close", "", last)
      end
    elseif c == "$" and i == #p then
      add(1, "end", "")
    elseif c == "%" and following == "b" then
      if i + 3 > #p then
        fail(NO_BALANCE)
      else
        add(4, "balance", sub(p, i + 2, i + 3))
      end
    elseif c == "%" and match(following, "%d") then
      local state = captures[tonumber(following)]
      if not state or state == "open" then
        fail((gsub(NO_CAPTURE, "%%1", "%%" .. following)))
      else
        add(2, "back", "", state == "closed" and tonumber(following))
      end
    elseif c == "%" and following == "f" then
      if sub(p, i + 2, i + 2) ~= "[" then
        fail(NO_FRONTIER)
      else
        local behind, why = item_end(p, i + 2)
        if why then fail(why) else add(behind - i, "frontier", sub(p, i + 2, behind - 1)) end
      end
    else
      local behind, why = item_end(p, i)
      if why then
        fail(why)
      else
        local text = sub(p, i, behind - 1)
        if #text == 1 and text ~= "." then text = plain(text) end
        add(behind - i, "single", text)
        local suffix = match(p, "^[*+?-]", behind)
        if suffix then
          items[#items].suffix = suffix
          i = i + 1
        end
      end
    end
  end
  return items, captures
end

-- By item: the characters that it matches, and the same as a set of bytes.
local members = memo(function(item)
  local found = {}
  for b = 0, 255 do
    local c = char(b)
    if #item > LONG then spend(#item) end
    if find(c, item) then found[#found + 1] = c end
  end
  return concat(found)
end)
local sets = memo(function(item)
  local set, found = {}, members[item]
  for i = 1, #found do set[byte(found, i)] = true end
  return set
end)

-- Returns what the worst case is made of (see `worst`). An item that may be repeated multiplies
-- the cost of what follows by the length of the subject, if it has the choice where to end. It has
-- none if it cannot match what follows begins with; nor if what follows cannot fail.
local function judge(items)
  local stars, ways, linear, once = 0, 1.0, 0, 0 -- an integer would overflow
  local sure, to_end = true, false -- what follows cannot fail, or only before the end
  local first, first_cost = {}, 0 -- the items one of which what follows begins with
  local any = false -- or it may begin with anything

  local function must(item, cost)
    sure, to_end, any = false, false, not item
    first, first_cost = { item }, cost
  end

  local function chooses(item)
    if any then return true end
    for i = 1, #first do
      if #first[i] > LONG or find(members[item], first[i]) then return true end
    end
    return false
  end

  for i = #items, 1, -1 do
    local item = items[i]
    local kind, text, suffix = item.kind, item.text, item.suffix
    if kind == "malformed" then
      sure, first, first_cost = false, {}, 0
    elseif kind == "end" then
      sure, to_end = false, true
    elseif kind == "balance" then
      linear = linear + 1
      must(plain(sub(text, 1, 1)), 1)
    elseif kind == "back" then
      linear = linear + 1
      must(nil, 0)
    elseif kind == "frontier" or suffix == "" and kind == "single" then
      must(text, #text)
    elseif kind == "single" then
      if sure then
        once = once + #text
      elseif not chooses(text) then
        linear = linear + #text + first_cost
      elseif suffix == "?" then
        ways = ways * 2
      else
        stars = stars + 1
      end
      if suffix == "+" then
        must(text, #text)
      else
        first[#first + 1], first_cost = text, first_cost + #text
        sure = sure or to_end and text == "." and suffix ~= "?"
      end
    end
  end
  return stars, ways, linear, once
end

-- Returns the item that a match has to begin with, if there is one.
local function beginning(items)
  for i = 1, #items do
    local item = items[i]
    if item.kind == "balance" then return plain(sub(item.text, 1, 1)) end
    if item.kind == "single" then
      local there = (item.suffix == "" or item.suffix == "+") and #item.text <= LONG
      return there and item.text or nil
    end
    if item.kind ~= "open" and item.kind ~= "position" then return nil end
  end
end

local function nests_too_deep(items)
  local depth = 0
  for i = 1, #items do
    local item = items[i]
    if item.suffix ~= "" or item.capture then depth = depth + 1 end
  end
  return depth >= 200
end

-- The steps that matching takes at worst on `n` characters: at one place, or with one star
-- more, at all. There are so many ways for the stars to share the characters among them; in each of
-- them the whole pattern is tried, and some items go through the rest of the subject.
local function worst(facts, n, stars)
  local ways = facts.ways
  for i = 1, stars do ways = ways * (n + i) / i end
  return ways * (facts.length + facts.linear * n) + facts.once * n
end

local function search_cost(facts, n)
  return worst(facts, n, facts.anchored and facts.stars or facts.stars + 1)
end

-- What is known of a pattern. C never gets one that is malformed: its message would name a
-- place in here.
local patterns = memo(function(p)
  local whole = p
  p = until_nul(p)
  -- Of plain text the first character tells as much as all.
  local items, captures = parse(has_any(p, "[%^$*+?.()%[%%-]") and p or sub(p, 1, 1))
  local facts = {
    anchored = begins(p) == 2,
    plain = not has_any(LOOKS_BEHIND_NUL and whole or p, "[%^$*+?.(%[%%-]"), -- for `find`
    captures = #captures,
    first = beginning(items),
    length = #p + 1,
  }
  facts.stars, facts.ways, facts.linear, facts.once = judge(items)
  local last = items[#items]
  local malformed = last and last.kind == "malformed" or nests_too_deep(items)
  for i = 1, #captures do malformed = malformed or captures[i] == "open" end
  if malformed then facts.length = huge end
  -- The longest subject, about, that costs nothing to speak of.
  local n = search_cost(facts, 0) <= FREE and 0 or -huge
  while n >= 0 and n < 2 ^ 31 and search_cost(facts, n * 2 + 1) <= FREE do n = n * 2 + 1 end
  facts.free = n
  return facts
end)


--------------------------------------------------------------- pieces of long strings

-- Whether `length` characters are the same, from `i` and `j` on.
local function same(s, i, t, j, length)
  while length > 0 do
    local part = min(length, BLOCK)
    spend(part / BYTES)
    if sub(s, i, i + part - 1) ~= sub(t, j, j + part - 1) then return false end
    i, j, length = i + part, j + part, length - part
  end
  return true
end

-- What `find` does with plain text, where that takes long: a window at a time, and
-- no more of the text by C than its head.
local function find_plain(s, text, i)
  local last = #s - #text + 1
  local head = sub(text, 1, 1024)
  local more = #text - #head
  local window = max(floor(BUDGET * BYTES / #head), 1)
  while i <= last do
    local upto = min(i + window - 1, last)
    spend((upto - i + 1) * #head / BYTES)
    local part = sub(s, i, upto + #head - 1)
    local at = find(part, head, 1, true)
    while at do
      local from = i + at - 1
      if same(s, from + #head, text, #head + 1, more) then return from, from + #text - 1 end
      at = find(part, head, at + 1, true)
    end
    i = upto + 1
  end
  return nil
end


------------------------------------------------------------------- matching in Lua

-- A matcher has two functions, `stop(s, i)` and `captured(s, i)`. The first matches at `i` and
-- nowhere else, and returns where the match ends, nil, or a text that says what is malformed. The
-- second returns the captures of the match that was just found at `i`.

-- Returns a matcher for where C may take too long at a single place. Of each item a function is
-- made, which matches it and all that follow it at `i`, and returns what `stop` does. `depth` is
-- how deep C could still nest.
local function matcher_in_lua(p)
  local items, captures = parse(until_nul(p))
  local subject, size
  local starts, stops = {}, {} -- of the captures
  local build = {}

  function build.malformed(item)
    return function()
      return item.text
    end
  end

  function build.open(item, rest)
    local capture = item.capture
    return function(i, depth)
      if depth == 0 then return TOO_COMPLEX end
      starts[capture] = i
      return rest(i, depth - 1)
    end
  end

  build.position = build.open

  function build.close(item, rest)
    local capture = item.capture
    return function(i, depth)
      if depth == 0 then return TOO_COMPLEX end
      stops[capture] = i - 1
      return rest(i, depth - 1)
    end
  end

  build["end"] = function()
    return function(i)
      return i == size + 1 and size or nil
    end
  end

  function build.balance(item, rest)
    local opening, closing = byte(item.text, 1, 2)
    return function(i, depth)
      if byte(subject, i) ~= opening then return nil end
      local open = 1
      for j = i + 1, size do
        local c = byte(subject, j)
        if c == closing then
          open = open - 1
          if open == 0 then return rest(j + 1, depth) end
        elseif c == opening then
          open = open + 1
        end
      end
      return nil
    end
  end

  function build.frontier(item, rest)
    local set = sets[item.text]
    return function(i, depth)
      if set[i > 1 and byte(subject, i - 1) or 0] then return nil end
      if not set[byte(subject, i) or 0] then return nil end
      return rest(i, depth)
    end
  end

  function build.back(item, rest)
    local capture = item.capture
    return function(i, depth)
      if not capture then return nil end -- a position
      local from = starts[capture]
      local length = stops[capture] - from + 1
      if length > size - i + 1 or not same(subject, i, subject, from, length) then return nil end
      return rest(i + length, depth)
    end
  end

  local function optional(set, rest)
    return function(i, depth)
      if set[byte(subject, i)] then
        if depth == 0 then return TOO_COMPLEX end
        local stop = rest(i + 1, depth - 1)
        if stop then return stop end
      end
      return rest(i, depth)
    end
  end

  local function shortest(set, rest)
    return function(i, depth)
      if not ALWAYS_NESTS and not set[byte(subject, i)] then return rest(i, depth) end
      if depth == 0 then return TOO_COMPLEX end
      while true do
        local stop = rest(i, depth - 1)
        if stop then return stop end
        if not set[byte(subject, i)] then return nil end
        i = i + 1
      end
    end
  end

  local function longest(set, rest, least)
    return function(i, depth)
      local behind = i
      while set[byte(subject, behind)] do behind = behind + 1 end
      if behind < i + least then return nil end
      if behind == i and not ALWAYS_NESTS then return rest(i, depth) end
      if depth == 0 then return TOO_COMPLEX end
      for j = behind, i + least, -1 do
        local stop = rest(j, depth - 1)
        if stop then return stop end
      end
      return nil
    end
  end

  function build.single(item, rest)
    local set, suffix = sets[item.text], item.suffix
    if suffix == "?" then return optional(set, rest) end
    if suffix == "-" then return shortest(set, rest) end
    if suffix == "*" then return longest(set, rest, 0) end
    if suffix == "+" then return longest(set, rest, 1) end
    return function(i, depth)
      if set[byte(subject, i)] then return rest(i + 1, depth) end
      return nil
    end
  end

  local run = function(i)
    return i - 1
  end
  for i = #items, 1, -1 do run = build[items[i].kind](items[i], run) end

  local function values(capture)
    local state = captures[capture]
    if not state then return end
    if state == "position" then return starts[capture], values(capture + 1) end
    if state == "open" then return false, values(capture + 1) end
    return sub(subject, starts[capture], stops[capture]), values(capture + 1)
  end

  local unfinished = false
  for i = 1, #captures do unfinished = unfinished or captures[i] == "open" end

  return {
    unfinished = unfinished, -- whether there are captures that are false
    stop = function(s, i)
      subject, size = s, #s
      return run(i, MAX_DEPTH - 1)
    end,
    captured = function()
      return values(1)
    end,
  }
end

-- Returns a matcher for where C is quick enough at a single place.
local function matcher_in_c(p, facts, cost)
  local anchored = facts.anchored and p or "^" .. p
  return {
    stop = function(s, i)
      spend(cost)
      local _, stop = find(s, anchored, i)
      return stop
    end,
    captured = function(s, i)
      if facts.captures > 0 then return match(s, anchored, i) end
    end,
  }
end

local function matcher_for(p, facts, n)
  local cost = worst(facts, n, facts.stars)
  if cost <= BUDGET then return matcher_in_c(p, facts, cost) end
  return matcher_in_lua(p) -- it holds the subject, so it is not for keeping
end

-- Returns where the first match begins that does not end at `but`, and what `stop` returns there;
-- or nil.
local function search(matcher, facts, s, i, but)
  local stop, first = matcher.stop, not facts.anchored and facts.first
  if first and (#s - i + 1) * #first > 4 * BUDGET then first = nil end
  local last = facts.anchored and i or #s + 1
  while i <= last do
    if first then
      local at = find(s, first, i)
      spend(((at or last) - i) * #first)
      if not at then return nil end
      i = at
    end
    local found = stop(s, i)
    if found and found ~= but then return i, found end
    i = i + 1
  end
  return nil
end


------------------------------------------------------------------ the functions

local function is_index(value)
  return value == nil or type(value) == "number" and value % 1 == 0
end

local function as_text(value)
  return type(value) == "number" and value .. "" or value
end

-- Returns `find` or `match`, of which `native` is C's.
local function searcher(native)
  local finds = native == find
  return function(...)
    local s, p, init, is_plain = ...
    is_plain = finds and is_plain
    if type(s) == "string" and type(p) == "string" and is_index(init) then
      local n = max(#s - (init or 1) + 1, 0) -- at most; a negative `init` makes it too much
      if is_plain then
        if (n - #p + 1) * #p <= FREE * BYTES then return native(...) end
      else
        local facts = patterns[p]
        if n <= facts.free then return native(...) end
        local cost = search_cost(facts, n)
        if cost <= BUDGET then
          spend(cost)
          return native(...)
        end
      end
    elseif not TEXT[type(s)] or not TEXT[type(p)] then
      refuse(native, ...)
    end

    s, p = as_text(s), as_text(p)
    local i = 1
    if init ~= nil then
      local ok
      ok, i = pcall(find, s, "", init, true)
      if not ok then refuse(native, ...) end
      if not i then return nil end -- behind the end
    end
    local facts = patterns[p]
    local n = #s - i + 1
    if finds and (is_plain or facts.plain) then
      local cost = max(n - #p + 1, 0) * #p / BYTES
      if cost > BUDGET then return find_plain(s, p, i) end
      spend(cost)
      return find(s, p, i, true)
    end
    local cost = search_cost(facts, n)
    if cost <= BUDGET then
      spend(cost)
      return native(s, p, i)
    end
    local matcher = matcher_for(p, facts, n)
    local start, stop = search(matcher, facts, s, i)
    if not start then return nil end
    if type(stop) == "string" then error(stop, 2) end
    if matcher.unfinished then error(UNFINISHED, 2) end
    if finds then return start, stop, matcher.captured(s, start) end
    if facts.captures == 0 then return sub(s, start, stop) end
    return matcher.captured(s, start)
  end
end

local function nothing() end

local function gmatch_guarded(...)
  local s, p, init = ...
  if not GMATCH_TAKES_INIT then init = nil end
  local facts = patterns[p]
  if facts and type(s) == "string" and is_index(init) and not facts.anchored then
    if #s - (init or 1) + 1 <= facts.free then return gmatch(...) end
  elseif not TEXT[type(s)] or not TEXT[type(p)] then
    refuse(gmatch, ...)
  end

  s, p = as_text(s), as_text(p)
  local i = 1
  if init ~= nil then
    local ok
    ok, i = pcall(find, s, "", init, true)
    if not ok then refuse(gmatch, ...) end
    if not i then return nothing end -- behind the end
  end
  if begins(p) == 2 then p = "%" .. p end -- an anchor for the others only
  facts = patterns[p]
  local n = #s - i + 1
  local cost = search_cost(facts, n)
  if cost <= BUDGET then
    spend(cost)
    local step = gmatch(s, p, i)
    -- It would search the rest of the subject each time that it is called after the last match.
    local function pass(...)
      if (...) == nil then step = nothing end
      return ...
    end
    return function()
      return pass(step())
    end
  end

  local matcher = matcher_for(p, facts, n)
  local last
  return function()
    local start, stop = search(matcher, facts, s, i, last)
    if not start then return end
    if type(stop) == "string" then error(stop, 2) end
    if matcher.unfinished then error(UNFINISHED, 2) end
    i = stop + 1
    if not EMPTY_FOLLOWS then
      last = stop
    elseif stop < start then
      i = i + 1
    end
    if facts.captures == 0 then return sub(s, start, stop) end
    return matcher.captured(s, start)
  end
end

-- What takes the place of a match, in parts: texts, and the numbers of captures. False stands
-- for what is malformed. `highest` is the highest number.
local replacements = memo(function(text)
  spend(#text / BYTES)
  local parts, i = { highest = 0 }, 1
  while true do
    local at = find(text, "%", i, true)
    parts[#parts + 1] = sub(text, i, (at or 0) - 1)
    if not at then return parts end
    local c = sub(text, at + 1, at + 1)
    if match(c, "%d") then
      parts[#parts + 1] = tonumber(c)
      parts.highest = max(parts.highest, tonumber(c))
    elseif c == "%" or not BAD_ESCAPE then
      parts[#parts + 1] = c == "" and "\0" or c
    else
      parts[#parts + 1] = false
      parts.highest = huge
    end
    i = at + 2
  end
end)

-- Returns what takes the place of a match, or nil and what is malformed.
local function put(parts, whole, ...)
  local captures, texts = { ... }, {}
  if #captures == 0 then captures[1] = whole end
  captures[0] = whole
  for i = 1, #parts do
    local part = parts[i]
    if type(part) == "number" then
      local number = part
      part = captures[number]
      if part == nil then return nil, (gsub(NO_CAPTURE_TO_PUT, "%%2", "%%" .. number)) end
      if part == false then return nil, UNFINISHED end
    elseif not part then
      return nil, BAD_ESCAPE
    end
    texts[i] = part
  end
  return concat(texts)
end

local function gsub_guarded(...)
  local s, p, by, limit = ...
  local facts, kind = patterns[p], type(by)
  if not facts or type(s) ~= "string" or not REPLACEMENT[kind] or not is_index(limit) then
    if not TEXT[type(s)] or not TEXT[type(p)] or not REPLACEMENT[kind]
      or failure(gsub, "", "", "", limit) then
      refuse(gsub, ...)
    end
    s, p = as_text(s), as_text(p)
    facts = patterns[p]
  end
  local cost = #s <= facts.free and 0 or search_cost(facts, #s) + #s / BYTES
  local parts
  if kind == "string" or kind == "number" then
    by = as_text(by)
    parts = replacements[by]
    if parts.highest > max(facts.captures, 1) then cost = huge end
    cost = cost + (#s + 1) * #by / BYTES
  end
  if cost <= BUDGET then
    if cost > FREE then spend(cost) end
    if parts then return gsub(s, p, by, limit) end
    if kind == "function" or getmetatable(by) ~= nil then
      local result, count = enter(gsub, s, p, by, limit)
      return result, count
    end
    local ok, result, count = pcall(gsub, s, p, by, limit)
    if not ok then
      local is_reason = type(result) == "string" and find(result, "^invalid")
      error(result, is_reason and 2 or 0)
    end
    return result, count
  end

  local matcher = matcher_for(p, facts, #s)
  limit = limit and select(2, gsub(s, "", "", limit)) or #s + 1
  local pieces, filled, size, count = {}, 0, 0, 0
  local i, copied, last = 1, 0, nil
  while count < limit do
    local start, stop = search(matcher, facts, s, i, last)
    if not start then break end
    if type(stop) == "string" then error(stop, 2) end
    count = count + 1
    local value
    if parts then
      local why
      value, why = put(parts, sub(s, start, stop), matcher.captured(s, start))
      if why then error(why, 2) end
    elseif kind == "table" then
      local key = matcher.captured(s, start)
      if key == false then error(UNFINISHED, 2) end
      if key == nil then key = sub(s, start, stop) end
      value = by[key]
    else
      if matcher.unfinished then error(UNFINISHED, 2) end
      if facts.captures == 0 then
        value = by(sub(s, start, stop))
      else
        value = by(matcher.captured(s, start))
      end
    end
    if value then
      if not TEXT[type(value)] then
        error("invalid replacement value (a " .. type(value) .. ")", 2)
      end
      value = as_text(value)
      pieces[filled + 1], pieces[filled + 2] = sub(s, copied + 1, start - 1), value
      filled, size, copied = filled + 2, size + #value, stop
    end
    i = stop + 1
    if not EMPTY_FOLLOWS then
      last = stop
    elseif stop < start then
      i = i + 1
    end
    if facts.anchored then break end
  end
  spend((size + #s) / BYTES)
  pieces[filled + 1] = sub(s, copied + 1)
  return concat(pieces), count
end

return {
  find = searcher(find), match = searcher(match), gmatch = gmatch_guarded, gsub = gsub_guarded,
}
