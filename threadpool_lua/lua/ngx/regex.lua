-- ngx.re: regular expressions with the syntax of Perl, matched by PCRE2; and what the
-- module ngx.re has besides.

local api = ...

local error, jit, next, tonumber, tostring, type = error, jit, next, tonumber, tostring, type
local concat, floor, min = table.concat, math.floor, math.min
local byte, find, format, sub = string.byte, string.find, string.format, string.sub
local clock = os.clock
local spend, text_of, HAS_HOOK = api.spend, api.text_of, api.has_hook

local DOLLAR = 36

-- What PCRE2's header calls them.
local NO_MATCH, TOO_MANY_STEPS = -1, -47
local NO_UTF_CHECK = 0x40000000
local NEVER_BACKSLASH_C, USE_OFFSET_LIMIT = 0x100000, 0x800000

-- How many steps a match may take from each place where it may begin: PCRE's default.
local MATCH_LIMIT = 10000000

-- PCRE2 itself, as regex_ffi.lua and regex_puc.lua have it, once there is a need for it.
local pcre

local function load_pcre()
  if not api.upcall("regex.library") then
    error("ngx.re needs the library PCRE2 (libpcre2-8), which is not installed: it is in the "
      .. "package libpcre2-8-0 of Debian and Ubuntu, in pcre2 of others and of Homebrew", 0)
  end
  pcre = api.load(jit and "ngx/regex_ffi.lua" or "ngx/regex_puc.lua")
end


------------------------------------------------------------------------ options

-- Of PCRE2. With the option J there may be empty classes, \u and \x as in JavaScript, and
-- references to captures that have not taken part. U passes over what is not valid in
-- UTF-8: OpenResty leaves that to chance.
local BITS = {
  a = 0x80000000, D = 0x40, i = 0x8, J = 0x203, m = 0x400, s = 0x20, x = 0x80,
  u = 0x80000 + NEVER_BACKSLASH_C, U = 0x4080000 + NEVER_BACKSLASH_C,
}
local OTHERS = { d = "dfa", j = "jit", o = "once" }

-- By the text of the options: what they mean.
local MOST_MODES, LONGEST_OPTIONS = 100, 16
local modes, mode_count = {}, 0

local function read_options(options)
  local given = {}
  local mode = { bits = USE_OFFSET_LIMIT }
  for i = 1, #options do
    local letter = sub(options, i, i)
    if OTHERS[letter] then
      mode[OTHERS[letter]] = true
    elseif BITS[letter] then
      given[letter] = BITS[letter]
    else
      return nil, format('unknown flag "%s" (flags "%s")', letter, options)
    end
  end
  -- PCRE does not pass over anything in its search for the longest match.
  if given.U and mode.dfa then given.u, given.U = BITS.u, nil end
  mode.anchored, mode.duplicate_names = given.a, given.D
  mode.utf = given.u or given.U
  if given.U then given.u = nil end
  mode.checked_utf = given.u
  for _, bits in next, given do mode.bits = mode.bits + bits end
  -- Patterns that are compiled alike are kept in one place.
  mode.kind = mode.bits * 4 + (mode.jit and 1 or 0) + (mode.dfa and 2 or 0)
  return mode
end

-- Returns what the options mean, or nil and what is wrong with them.
local function mode_of(options)
  local mode = modes[options]
  if mode then return mode end
  local why
  mode, why = read_options(options)
  if not mode then return nil, why end
  if #options > LONGEST_OPTIONS then return mode end
  if mode_count == MOST_MODES then modes, mode_count = {}, 0 end
  modes[options], mode_count = mode, mode_count + 1
  return mode
end


----------------------------------------------------------------- compiled patterns

-- They are all kept, whether the option `o` says so or not, until there are too many:
-- first among the recent ones, then, unless they are used again, among those that are
-- forgotten next. By the kind of mode and the pattern.
local MOST_PATTERNS, MOST_BYTES = 512, 2 ^ 21 -- of each
local recent, old = {}, {}
local recent_count, recent_size = 0, 0
local any_kept_once = false

local function forget_old()
  for _, patterns in next, old do
    for _, regex in next, patterns do pcre.free(regex) end
  end
  old, recent, recent_count, recent_size = recent, {}, 0, 0
end

local function keep(regex, pattern, kind)
  local size = regex.size + #pattern
  if recent_count >= MOST_PATTERNS or recent_size + size > MOST_BYTES then forget_old() end
  recent[kind] = recent[kind] or {}
  recent[kind][pattern] = regex
  recent_count, recent_size = recent_count + 1, recent_size + size
end

-- What is longer is mostly too large for PCRE, unless it is full of comments.
local LONGEST_PATTERN = 2 ^ 16
local TOO_LONG = "pattern string is longer than the limit set by the application"

local MOST_OF_MESSAGE = 127 -- bytes, as in OpenResty

local function compile_error(text, pattern, at)
  local message = 'pcre2_compile() failed: ' .. text .. ' in "' .. pattern .. '"'
  if at < #pattern then message = message .. ' at "' .. sub(pattern, at + 1) .. '"' end
  return sub(message, 1, MOST_OF_MESSAGE)
end

-- Returns the compiled pattern, or nil and why it does not compile. It may be gone after
-- the next call: a pattern that is used again after other code has run is asked for anew.
local function regex_of(pattern, mode)
  if mode.once then any_kept_once = true end
  local kind = mode.kind
  local regex = recent[kind] and recent[kind][pattern]
  if regex then return regex end
  regex = old[kind] and old[kind][pattern]
  if regex then
    old[kind][pattern] = nil
  else
    if not pcre then load_pcre() end
    if #pattern > LONGEST_PATTERN then return nil, compile_error(TOO_LONG, pattern, 0) end
    spend(#pattern * 16)
    local why, at
    regex, why, at = pcre.compile(pattern, mode)
    if not regex then return nil, compile_error(why, pattern, at) end
    if mode.dfa then regex.captures, regex.names = 0, nil end
    -- A search can go on from a later place, and does not notice.
    regex.divisible = not find(pattern, "(*", 1, true) and not find(pattern, "\\G", 1, true)
  end
  keep(regex, pattern, kind)
  return regex
end


----------------------------------------------------------------------- searching

-- In a pool with a time limit nothing may keep a thread for long, and what PCRE limits is
-- not time: it is the steps from one place where a match may begin, of as many as the text
-- has bytes, and a step may look at all of the text. So the places are tried in windows,
-- and between two of them the limits apply. A window begins small if the text is large. It
-- grows while it takes no time, and shrinks if there are too many steps in it. If there are
-- from a single place, it gets more, unless it has taken long.
local MOST_LOOKS = 2 ^ 26 -- bytes in a window times bytes in the text
local MOST_WORK = 2 ^ 28 -- steps in a window times bytes in the text, to begin with
local MOST_STEPS = 1000000 -- in a window
local QUICK, SLOW = 0.001, 0.1 -- seconds of processor time
local A_LOOK_AT_THE_CLOCK = 2 ^ 20 -- what to spend for it

local function next_place(subject, mode, at)
  at = at + 1
  if mode.utf then
    -- The bytes of a character that are not its first.
    local b = byte(subject, at + 1)
    while b and b >= 128 and b < 192 do
      at = at + 1
      b = byte(subject, at + 1)
    end
  end
  return at
end

local function search_in_windows(regex, mode, subject, start, options, ahead)
  local size = #subject
  local left = size - start + 1
  local window = mode.anchored and 0 or size - start
  if regex.divisible then window = min(window, floor(MOST_LOOKS / left)) end
  local few_steps = min(floor(MOST_WORK / left), MOST_STEPS)
  local steps = few_steps
  local began
  while true do
    local last = min(start + window, size)
    local outcome = pcre.match(regex, mode, subject, start, last,
      floor(steps / (window + 1)) + 1, options, ahead)
    if outcome >= 0 then
      spend(pcre.offset(1) - start)
      return outcome
    end
    local now = clock()
    local elapsed = now - (began or now)
    if outcome == TOO_MANY_STEPS and window > 0 and regex.divisible then
      window = floor(window / 16)
    elseif outcome == TOO_MANY_STEPS and window == 0 and steps < MOST_STEPS and elapsed < SLOW then
      steps = min(steps * 4, MOST_STEPS)
    elseif outcome == NO_MATCH and last < size and regex.divisible and not mode.anchored then
      start, steps = next_place(subject, mode, last), few_steps
      if mode.checked_utf then options = NO_UTF_CHECK end
      if began and elapsed < QUICK then window = window * 4 + 1 end
    else
      return outcome
    end
    began = now
    spend(A_LOOK_AT_THE_CLOCK)
  end
end

-- Looks for a match from `start` on, an offset from 0. Returns a negative number if there
-- is none.
local function search(regex, mode, subject, start, options, ahead)
  if start <= #subject and HAS_HOOK then
    return search_in_windows(regex, mode, subject, start, options, ahead)
  end
  return pcre.match(regex, mode, subject, start, #subject, MATCH_LIMIT, options, ahead)
end

local function failure(outcome)
  return "pcre_exec() failed: " .. outcome
end

-- An iterator over the matches of a subject, from an offset on: each call returns the
-- compiled pattern, and where the match begins and ends, or nil, and what went wrong.
local function matches(subject, pattern, mode, start)
  local ahead, options = {}, 0
  return function()
    if not start then return nil end
    local regex, why = regex_of(pattern, mode)
    if not regex then return nil, why end
    local outcome = search(regex, mode, subject, start, options, ahead)
    if outcome < 0 then
      start = nil
      return nil, outcome ~= NO_MATCH and failure(outcome) or nil
    end
    local from, to = pcre.offset(0), pcre.offset(1)
    if to > from and to > start then
      start = to
    else
      start = next_place(subject, mode, to > start and to or start)
    end
    if start > #subject then start = nil end
    if mode.checked_utf then options = NO_UTF_CHECK end
    return regex, from, to
  end
end


------------------------------------------------------------------------ captures

local function capture(subject, i)
  local from = pcre.offset(2 * i)
  return from >= 0 and sub(subject, from + 1, pcre.offset(2 * i + 1))
end

local function name_captures(regex, mode, result)
  local names = regex.names
  if mode.duplicate_names then
    for i = 2, #names, 2 do result[names[i]] = nil end
  end
  for i = 1, #names, 2 do
    local value, name = result[names[i]], names[i + 1]
    if not mode.duplicate_names then
      result[name] = value
    elseif value then
      local values = result[name] or {}
      values[#values + 1] = value
      result[name] = values
    end
  end
  return result
end

local function captures(regex, mode, subject, result)
  for i = 0, regex.captures do result[i] = capture(subject, i) end
  return regex.names and name_captures(regex, mode, result) or result
end


----------------------------------------------------------------------- functions

local re = {}

local function expect(name, number, expected, value)
  error(format("bad argument #%d to '%s' (%s expected, got %s)", number, name, expected,
    type(value)), 4)
end

-- Returns the arguments that all have, as they are used.
local function arguments(name, subject, pattern, options_number, options, context)
  if type(pattern) == "number" then pattern = tostring(pattern) end
  if type(pattern) ~= "string" then expect(name, 2, "string", pattern) end
  if options and type(options) ~= "string" then expect(name, options_number, "string", options) end
  if context and type(context) ~= "table" then expect(name, 4, "table", context) end
  local mode, why = mode_of(options or "")
  if not mode then error(why, 3) end
  return text_of(subject), pattern, mode
end

local FARTHEST = 2 ^ 31 -- longer is no string

-- Returns the offset where to begin.
local function start_of(context)
  local at = context and context.pos
  return at and at > 0 and floor(min(at, FARTHEST)) - 1 or 0
end

function re.match(subject, pattern, options, context, result)
  local mode
  subject, pattern, mode = arguments("match", subject, pattern, 3, options, context)
  local start = start_of(context)
  local regex, why = regex_of(pattern, mode)
  if not regex then return nil, why end
  local outcome = search(regex, mode, subject, start, 0)
  if outcome == NO_MATCH then return nil end
  if outcome < 0 then return nil, failure(outcome) end
  local to = pcre.offset(1)
  result = captures(regex, mode, subject, result or {})
  if context then context.pos = to + 1 end
  return result
end

function re.find(subject, pattern, options, context, nth)
  local mode
  subject, pattern, mode = arguments("find", subject, pattern, 3, options, context)
  local start = start_of(context)
  local regex, why = regex_of(pattern, mode)
  if not regex then return nil, nil, why end
  local outcome = search(regex, mode, subject, start, 0)
  if outcome == NO_MATCH then return nil end
  if outcome < 0 then return nil, nil, failure(outcome) end
  nth = nth and nth > 0 and floor(nth) or 0
  local number_of_captures, to = regex.captures, pcre.offset(1)
  local from_nth, to_nth = 0, 0
  if nth <= number_of_captures then
    from_nth, to_nth = pcre.offset(2 * nth), pcre.offset(2 * nth + 1)
  end
  if context then context.pos = to + 1 end
  if nth > number_of_captures then return nil, nil, "nth out of bound" end
  if from_nth < 0 then return nil, nil end
  return from_nth + 1, to_nth
end

function re.gmatch(subject, pattern, options)
  local mode
  subject, pattern, mode = arguments("gmatch", subject, pattern, 3, options)
  local regex, why = regex_of(pattern, mode)
  if not regex then return nil, why end
  local next_match = matches(subject, pattern, mode, 0)
  return function()
    local found, from = next_match()
    if found then return captures(found, mode, subject, {}) end
    if from then return nil, from end
    return nil
  end
end


--------------------------------------------------------------------- replacements

-- By the text of a template: the texts and the numbers of captures that it consists of.
local MOST_TEMPLATES, LONGEST_TEMPLATE = 100, 1000
local templates, template_count = {}, 0

local function read_template(text)
  local parts, at = {}, 1
  while true do
    local dollar = find(text, "$", at, true)
    if not dollar then break end
    parts[#parts + 1] = sub(text, at, dollar - 1)
    local _, last, number = find(text, "^{(%d+)}", dollar + 1)
    if not last then _, last, number = find(text, "^(%d+)", dollar + 1) end
    if last then
      parts[#parts + 1] = tonumber(number)
    elseif byte(text, dollar + 1) == DOLLAR then
      parts[#parts + 1], last = "$", dollar + 1
    else
      return nil
    end
    at = last + 1
  end
  parts[#parts + 1] = sub(text, at)
  return parts
end

local function template_of(text)
  local parts = templates[text]
  if parts then return parts end
  parts = read_template(text)
  if not parts or #text > LONGEST_TEMPLATE then return parts end
  if template_count == MOST_TEMPLATES then templates, template_count = {}, 0 end
  templates[text], template_count = parts, template_count + 1
  return parts
end

-- Replaces the first match, or all.
local function substitute(subject, pattern, mode, replacement, is_global)
  local regex, why = regex_of(pattern, mode)
  if not regex then return nil, nil, why end
  local template
  if type(replacement) ~= "function" then
    template = template_of(tostring(replacement))
    if not template then return nil, nil, "failed to compile the replacement template" end
  end
  local next_match = matches(subject, pattern, mode, 0)
  local pieces, n, count, copied = {}, 0, 0, 0
  repeat
    local found, from, to = next_match()
    if not found then
      if from then return nil, nil, from end
      break
    end
    count = count + 1
    pieces[n + 1] = sub(subject, copied + 1, from)
    n = n + 1
    copied = to
    if template then
      for i = 1, #template do
        local part = template[i]
        if type(part) == "number" then
          part = part <= found.captures and capture(subject, part) or ""
        end
        pieces[n + i] = part
      end
      n = n + #template
    else
      n = n + 1
      pieces[n] = tostring((replacement(captures(found, mode, subject, {}))))
    end
  until not is_global
  if count == 0 then return subject, 0 end
  pieces[n + 1] = sub(subject, copied + 1)
  local result = concat(pieces)
  spend(#result)
  return result, count
end

function re.sub(subject, pattern, replacement, options)
  local mode
  subject, pattern, mode = arguments("sub", subject, pattern, 4, options)
  return substitute(subject, pattern, mode, replacement, false)
end

function re.gsub(subject, pattern, replacement, options)
  local mode
  subject, pattern, mode = arguments("gsub", subject, pattern, 4, options)
  return substitute(subject, pattern, mode, replacement, true)
end


--------------------------------------------------------------- of the module ngx.re

local MOST_STACK = 2 ^ 20 -- bytes, in a pool with a time limit

local module = {}

function module.split(subject, pattern, options, context, most, result)
  local mode
  subject, pattern, mode = arguments("split", subject, pattern, 3, options, context)
  if result and type(result) ~= "table" then error("res is not a table", 2) end
  result, most = result or {}, most or 0
  local copied = start_of(context)
  if copied >= #subject then
    result[1] = nil
    return result
  end
  local next_match = matches(subject, pattern, mode, copied)
  local n, count = 0, 1
  while most <= 0 or count < most do
    local regex, from, to = next_match()
    if not regex then
      if from then return nil, from end
      break
    end
    -- An empty match parts nothing from nothing.
    if to > from or from > copied then
      n, count = n + 1, count + 1
      local separator = regex.captures > 0 and capture(subject, 1)
      result[n] = sub(subject, copied + 1, from)
      if separator then
        n = n + 1
        result[n] = separator
      end
      copied = to
      if copied >= #subject then break end
    end
  end
  if most <= 0 and copied >= #subject then
    while n > 0 and result[n] == "" do
      result[n] = nil
      n = n - 1
    end
  else
    n = n + 1
    result[n] = sub(subject, copied + 1)
  end
  result[n + 1] = nil
  return result
end

function module.opt(name, value)
  if name ~= "jit_stack_size" then error("unrecognized option name", 2) end
  if any_kept_once then
    error("changing jit stack size is not allowed when some regexs have already been compiled "
      .. "and cached", 2)
  end
  if type(value) ~= "number" then
    error(format("bad argument #2 to 'opt' (number expected, got %s)", type(value)), 2)
  end
  if not pcre then load_pcre() end
  if HAS_HOOK then value = min(value, MOST_STACK) end
  if not pcre.set_jit_stack_size(value) then error("pcre jit stack allocation failed", 2) end
end

api.regex = module

return { re = re }
