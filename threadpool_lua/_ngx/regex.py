"""
The matches of ``ngx.re``, for implementations of Lua without an FFI: PCRE2 by `ctypes`.

LuaJIT calls the same library by its own FFI; all it needs from here is the library's name.
"""

from __future__ import annotations

import ctypes
import struct
import threading
import time
from collections.abc import Callable, Mapping
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_ssize_t, c_uint8, c_uint32, c_void_p
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import Any, Final

# As the systems and package managers call it: Linux; Homebrew, MacPorts and macOS itself.
_NAMES = (
    "libpcre2-8.so.0",
    "libpcre2-8.0.dylib",
    "/opt/homebrew/lib/libpcre2-8.0.dylib",
    "/opt/local/lib/libpcre2-8.0.dylib",
    "/usr/lib/libpcre2-8.dylib",
)

# What PCRE2's header calls them.
_UTF, _MATCH_INVALID_UTF = 0x80000, 0x4000000
_NO_UTF_CHECK = 0x40000000
_INFO_CAPTURECOUNT, _INFO_NAMECOUNT, _INFO_NAMEENTRYSIZE, _INFO_NAMETABLE = 4, 17, 18, 19
_ERROR_NOMATCH, _ERROR_MATCHLIMIT = -1, -47

# Compiled patterns that are kept; OpenResty's lua_regex_cache_max_entries.
_MOST_PATTERNS = 1024

# How large the stack of what a match may come back to gets, in KiB.
_HEAP_LIMIT = 16 * 1024

# The integers that pcre2_dfa_match works with, as in OpenResty.
_WORKSPACE = 1000

# Steps of a match with the GIL held, in all: well under a millisecond. Giving it back takes
# longer than most matches, and then other threads have it for up to 5 ms.
_QUICK_STEPS = 20_000

# How long the matches of one call may take, in seconds, before the last begins.
_MOST_SECONDS = 0.002

# What Lua gets of a match, or for want of one: where the search began, PCRE's number for the
# outcome, and the offsets.
_DFA_RECORD, _NO_MATCH_RECORD = struct.Struct("<4i"), struct.Struct("<2i")

_PROTOTYPES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "compile": (
        c_void_p,
        (c_char_p, c_size_t, c_uint32, POINTER(c_int), POINTER(c_size_t), c_void_p),
    ),
    "code_free": (None, (c_void_p,)),
    "pattern_info": (c_int, (c_void_p, c_uint32, c_void_p)),
    "get_error_message": (c_int, (c_int, c_char_p, c_size_t)),
    "match_context_create": (c_void_p, (c_void_p,)),
    "match_context_free": (None, (c_void_p,)),
    "set_heap_limit": (c_int, (c_void_p, c_uint32)),
    "set_match_limit": (c_int, (c_void_p, c_uint32)),
    "set_offset_limit": (c_int, (c_void_p, c_size_t)),
    "match_data_create": (c_void_p, (c_uint32, c_void_p)),
    "match_data_free": (None, (c_void_p,)),
    "get_ovector_pointer": (POINTER(c_ssize_t), (c_void_p,)),
    "match": (
        c_int,
        (c_void_p, c_char_p, c_size_t, c_size_t, c_uint32, c_void_p, c_void_p),
    ),
    "dfa_match": (
        c_int,
        (
            *(c_void_p, c_char_p, c_size_t, c_size_t, c_uint32, c_void_p, c_void_p),
            *(c_void_p, c_size_t),
        ),
    ),
}


def _functions(library: ctypes.CDLL) -> Any:
    """Return PCRE2's functions, without their prefix and suffix."""
    functions = SimpleNamespace()
    for name, (result, arguments) in _PROTOTYPES.items():
        function = getattr(library, f"pcre2_{name}_8")
        function.restype, function.argtypes = result, arguments
        setattr(functions, name, function)
    return functions


@cache
def _library_name() -> str | None:
    for name in _NAMES:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return name
    return None


@cache
def _library() -> Any:
    """Return the functions as they are called with the GIL."""
    return _functions(ctypes.PyDLL(_library_name()))


@cache
def _unlocked_library() -> Any:
    """Return the functions as they are called without it: other threads have it meanwhile."""
    return _functions(ctypes.CDLL(_library_name()))


class _Regex:
    """A compiled pattern."""

    def __init__(self, pattern: bytes, bits: int) -> None:
        library = self._library = _library()
        error, at = c_int(), c_size_t()
        self.code: int | None = library.compile(pattern, len(pattern), bits, error, at, None)
        if not self.code:
            text = ctypes.create_string_buffer(128)
            library.get_error_message(error, text, len(text))
            raise ValueError(text.value, at.value)
        self.captures = self._number(_INFO_CAPTURECOUNT)
        self.record = struct.Struct(f"<{2 + 2 * (self.captures + 1)}i")
        self.is_utf = bits & _UTF != 0
        # What is valid need not be looked at again.
        self.options_later = _NO_UTF_CHECK if bits & (_UTF | _MATCH_INVALID_UTF) == _UTF else 0

    def __del__(self) -> None:
        self._library.code_free(self.code)

    def _number(self, what: int) -> int:
        number = c_uint32()
        self._library.pattern_info(self.code, what, ctypes.byref(number))
        return number.value

    def names(self) -> bytes:
        """Return the named captures in alphabetical order: ``1 year 2 month``."""
        size = self._number(_INFO_NAMEENTRYSIZE)
        table = POINTER(c_uint8)()
        self._library.pattern_info(self.code, _INFO_NAMETABLE, ctypes.byref(table))
        names = []
        for i in range(self._number(_INFO_NAMECOUNT)):
            entry = bytes(table[i * size : (i + 1) * size])
            number = int.from_bytes(entry[:2], "big")
            names.append(b"%d %s" % (number, entry[2:].partition(b"\0")[0]))
        return b" ".join(names)


_compiled = lru_cache(_MOST_PATTERNS)(_Regex)


class _Workplace:
    """What the matches of one thread work with."""

    def __init__(self) -> None:
        library = self._library = _library()
        self.context = library.match_context_create(None)
        library.set_heap_limit(self.context, _HEAP_LIMIT)
        self._match_limit = self._offset_limit = -1
        self.workspace = (c_int * _WORKSPACE)()
        self._pairs = 0
        self.data: int | None = None

    def make_room(self, pairs: int) -> None:
        """Have room for the offsets of so many captures, the whole match included."""
        if pairs > self._pairs:
            self._library.match_data_free(self.data)
            self._pairs, self.data = pairs, self._library.match_data_create(pairs, None)
            self.offsets = self._library.get_ovector_pointer(self.data)

    def limit_steps(self, limit: int) -> None:
        """Set how many steps a match may take from each place."""
        if limit != self._match_limit:
            self._match_limit = limit
            self._library.set_match_limit(self.context, limit)

    def limit_begin(self, last: int) -> None:
        """Set where a match may begin at the latest."""
        if last != self._offset_limit:
            self._offset_limit = last
            self._library.set_offset_limit(self.context, last)

    def __del__(self) -> None:
        self._library.match_data_free(self.data)
        self._library.match_context_free(self.context)


_local = threading.local()


def _workplace() -> _Workplace:
    try:
        here: _Workplace = _local.workplace
    except AttributeError:
        here = _local.workplace = _Workplace()
    return here


def _next_start(regex: _Regex, subject: bytes, start: int, begin: int, end: int) -> int:
    """Return where the next match is to be looked for, as regex.lua does."""
    if end > begin and end > start:
        return end
    following = max(start, end) + 1
    while regex.is_utf and following < len(subject) and subject[following] & 0xC0 == 0x80:
        following += 1
    return following


def _match_once(
    here: _Workplace,
    regex: _Regex,
    dfa: bool,
    subject: bytes,
    start: int,
    limit: int,
    options: int,
) -> int:
    """Match, and return PCRE's number for the outcome."""
    code, size, data, context = regex.code, len(subject), here.data, here.context
    outcome: int
    if dfa:
        here.limit_steps(limit)
        outcome = _unlocked_library().dfa_match(
            code, subject, size, start, options, data, context, here.workspace, _WORKSPACE
        )
        return outcome
    quick = min(limit, _QUICK_STEPS // max(1, size - start))
    if quick:
        here.limit_steps(quick)
        outcome = _library().match(code, subject, size, start, options, data, context)
        if outcome != _ERROR_MATCHLIMIT or quick == limit:
            return outcome
    here.limit_steps(limit)
    outcome = _unlocked_library().match(code, subject, size, start, options, data, context)
    return outcome


def _compile(pattern: bytes, bits: int) -> tuple[int | None, bytes, int]:
    try:
        regex = _compiled(pattern, bits)
    except ValueError as error:
        return (None, *error.args)
    return regex.captures, regex.names(), 0


def _match(
    pattern: bytes,
    bits: int,
    dfa: bool,
    subject: bytes,
    start: int,
    last: int,
    limit: int,
    options: int,
    most: int,
) -> bytes:
    """
    Look for the first match from ``start`` on, and for those that follow, ``most`` at most.

    A match may begin at ``last`` at the latest, and take ``limit`` steps from each place.

    Returns:
        Their records. Only the last may tell that there is no match, only the first of an error.
    """
    regex, here = _compiled(pattern, bits), _workplace()
    here.make_room(regex.captures + 1)
    here.limit_begin(last)
    record, count = (_DFA_RECORD, 2) if dfa else (regex.record, 2 * (regex.captures + 1))
    outcome = _match_once(here, regex, dfa, subject, start, limit, options)
    if outcome < 0:
        return _NO_MATCH_RECORD.pack(start, outcome)
    records = [record.pack(start, outcome, *here.offsets[:count])]
    last_is_end = last >= len(subject)
    deadline = time.monotonic() + _MOST_SECONDS if most > 1 else 0
    while outcome >= 0 and len(records) < most and time.monotonic() < deadline:
        start = _next_start(regex, subject, start, here.offsets[0], here.offsets[1])
        if start > last:
            break
        options |= regex.options_later
        outcome = _match_once(here, regex, dfa, subject, start, limit, options)
        if outcome >= 0:
            records.append(record.pack(start, outcome, *here.offsets[:count]))
        elif outcome == _ERROR_NOMATCH and last_is_end:
            records.append(_NO_MATCH_RECORD.pack(start, outcome))
    return b"".join(records)


def _facts() -> tuple[bytes | None, int]:
    name = _library_name()
    return None if name is None else name.encode(), _HEAP_LIMIT


UPCALLS: Final[Mapping[bytes, Callable[..., object]]] = {
    b"regex.library": _facts,
    b"regex.compile": _compile,
    b"regex.match": _match,
}
