-- PCRE2 through LuaJIT's FFI: the part of it that regex.lua uses.

local api = ...

local ffi = require("ffi")
local tonumber = tonumber
local cast, ffi_string, gc, new = ffi.cast, ffi.string, ffi.gc, ffi.new

local JIT_COMPLETE = 1
local CAPTURECOUNT, JITSIZE, NAMECOUNT, NAMEENTRYSIZE, NAMETABLE, SIZE = 4, 10, 17, 18, 19, 22
local MIN_STACK = 32 * 1024 -- bytes, as in OpenResty
local WORKSPACE = 1000 -- integers, as in OpenResty

-- Under names that no task's own declarations can get in the way of.
ffi.cdef([[
  void *ngx_pcre2_compile(const char *, size_t, uint32_t, int *, size_t *, void *)
    __asm__("pcre2_compile_8");
  void ngx_pcre2_code_free(void *) __asm__("pcre2_code_free_8");
  int ngx_pcre2_info(void *, uint32_t, void *) __asm__("pcre2_pattern_info_8");
  int ngx_pcre2_message(int, char *, size_t) __asm__("pcre2_get_error_message_8");
  int ngx_pcre2_jit_compile(void *, uint32_t) __asm__("pcre2_jit_compile_8");
  void *ngx_pcre2_stack_create(size_t, size_t, void *) __asm__("pcre2_jit_stack_create_8");
  void ngx_pcre2_stack_free(void *) __asm__("pcre2_jit_stack_free_8");
  void ngx_pcre2_stack_assign(void *, void *, void *) __asm__("pcre2_jit_stack_assign_8");
  void *ngx_pcre2_context_create(void *) __asm__("pcre2_match_context_create_8");
  void ngx_pcre2_context_free(void *) __asm__("pcre2_match_context_free_8");
  int ngx_pcre2_heap_limit(void *, uint32_t) __asm__("pcre2_set_heap_limit_8");
  int ngx_pcre2_match_limit(void *, uint32_t) __asm__("pcre2_set_match_limit_8");
  int ngx_pcre2_offset_limit(void *, size_t) __asm__("pcre2_set_offset_limit_8");
  void *ngx_pcre2_data_create(uint32_t, void *) __asm__("pcre2_match_data_create_8");
  void ngx_pcre2_data_free(void *) __asm__("pcre2_match_data_free_8");
  void *ngx_pcre2_ovector(void *) __asm__("pcre2_get_ovector_pointer_8");
  int ngx_pcre2_match(void *, const char *, size_t, size_t, uint32_t, void *, void *)
    __asm__("pcre2_match_8");
  int ngx_pcre2_dfa_match(void *, const char *, size_t, size_t, uint32_t, void *, void *,
    int *, size_t) __asm__("pcre2_dfa_match_8");
]])

local name, heap_limit = api.upcall("regex.library")
local C = ffi.load(name)

local _M = {}

-- A state is entered by one thread at a time, so it has one of each.
local context = gc(C.ngx_pcre2_context_create(nil), C.ngx_pcre2_context_free)
C.ngx_pcre2_heap_limit(context, heap_limit)
local match_limit, offset_limit
local workspace = new("int[?]", WORKSPACE)
local number, size, pointer = new("int[1]"), new("size_t[1]"), new("const unsigned char *[1]")

-- Where a match writes its offsets, of the type size_t. They are read as integers of 32
-- bits, which become numbers at once: strings are shorter than 2 GiB.
local data, pairs_of_data, offsets = nil, 0, nil
local STEP = ffi.sizeof("size_t") / 4
local LOW = ffi.abi("le") and 0 or STEP - 1

local function make_room(pairs)
  if pairs <= pairs_of_data then return end
  pairs_of_data = pairs
  data = gc(C.ngx_pcre2_data_create(pairs, nil), C.ngx_pcre2_data_free)
  offsets = cast("int32_t *", C.ngx_pcre2_ovector(data))
end

local function info(code, what, result)
  C.ngx_pcre2_info(code, what, result)
  return tonumber(result[0])
end

-- The named captures in alphabetical order: a number, its name, and so on. Or nil.
local function names_of(code)
  local count = info(code, NAMECOUNT, number)
  if count == 0 then return nil end
  local entry = info(code, NAMEENTRYSIZE, number)
  C.ngx_pcre2_info(code, NAMETABLE, pointer)
  local names = {}
  for i = 0, count - 1 do
    local at = pointer[0] + i * entry
    names[2 * i + 1] = at[0] * 256 + at[1]
    names[2 * i + 2] = ffi_string(at + 2)
  end
  return names
end

-- Returns a compiled pattern, or nil, what is wrong with it, and where.
function _M.compile(pattern, mode)
  local code = C.ngx_pcre2_compile(pattern, #pattern, mode.bits, number, size, nil)
  if code == nil then
    local text = new("char[?]", 128)
    C.ngx_pcre2_message(number[0], text, 128)
    return nil, ffi_string(text), tonumber(size[0])
  end
  gc(code, C.ngx_pcre2_code_free)
  if mode.jit then C.ngx_pcre2_jit_compile(code, JIT_COMPLETE) end
  local captures = info(code, CAPTURECOUNT, number)
  make_room(captures + 1)
  return {
    code = code,
    captures = captures,
    names = names_of(code),
    size = info(code, SIZE, size) + info(code, JITSIZE, size),
  }
end

-- With nil for its code a pattern that is used by mistake fails to match.
function _M.free(regex)
  C.ngx_pcre2_code_free(gc(regex.code, nil))
  regex.code = nil
end

-- Looks for a match from `start` on, which begins at `last` at the latest, and takes no more
-- steps from any place than `limit`. Offsets count from 0. Returns PCRE's number for the
-- outcome: it is negative if there is no match.
function _M.match(regex, mode, subject, start, last, limit, options)
  if limit ~= match_limit then
    C.ngx_pcre2_match_limit(context, limit)
    match_limit = limit
  end
  if last ~= offset_limit then
    C.ngx_pcre2_offset_limit(context, last)
    offset_limit = last
  end
  if mode.dfa then
    return C.ngx_pcre2_dfa_match(regex.code, subject, #subject, start, options, data, context,
      workspace, WORKSPACE)
  end
  return C.ngx_pcre2_match(regex.code, subject, #subject, start, options, data, context)
end

-- An offset of the last match: where the whole begins, where it ends, where the first
-- capture begins, and so on. It is negative for a capture that has not taken part.
function _M.offset(i)
  return offsets[i * STEP + LOW]
end

-- Returns whether there is room for it.
function _M.set_jit_stack_size(bytes)
  if bytes < MIN_STACK then bytes = MIN_STACK end
  local stack = C.ngx_pcre2_stack_create(MIN_STACK, bytes, nil)
  if stack == nil then return false end
  C.ngx_pcre2_stack_assign(context, nil, stack)
  _M.stack = gc(stack, C.ngx_pcre2_stack_free) -- which frees the one before
  return true
end

return _M
