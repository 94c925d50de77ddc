"""The time of day for ``lua/ngx/time.lua``, and times as HTTP writes them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

_DAYS: Final = b"Mon Tue Wed Thu Fri Sat Sun".split()
_MONTHS: Final = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_LAST_SECOND: Final = 253402300799  # of the year 9999
_LAST_SHORT_YEAR: Final = 2037  # that a cookie's time has with two digits

# The three forms that RFC 9110 asks for. nginx looks no further than they go.
_TIME: Final = rb"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_MONTH: Final = rb"(?P<month>" + b"|".join(_MONTHS) + rb")"
_HTTP_TIMES: Final = [
    re.compile(form)
    for form in (
        rb"[^ ,]*, *(?P<day>\d\d) " + _MONTH + rb" (?P<year>\d{4}) " + _TIME,
        rb"[^ ,]*, *(?P<day>\d\d)-" + _MONTH + rb"-(?P<year>\d\d) " + _TIME,
        rb"[^ ,]* +" + _MONTH + rb" {1,2}(?P<day>\d\d?) " + _TIME + rb" (?P<year>\d{4})",
    )
]


def now() -> float:
    """Return the seconds since 1970, with milliseconds."""
    return time.time_ns() // 1_000_000 / 1000


def seconds() -> int:
    """Return the whole seconds since 1970."""
    return time.time_ns() // 1_000_000_000


def monotonic_milliseconds() -> int:
    """Return the milliseconds since some moment."""
    return time.monotonic_ns() // 1_000_000


def today() -> bytes:
    """Return the local date."""
    return time.strftime("%Y-%m-%d").encode()


def local() -> bytes:
    """Return the local date and time."""
    return time.strftime("%Y-%m-%d %H:%M:%S").encode()


def utc() -> bytes:
    """Return the date and time in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()).encode()


def http_time(since_1970: float) -> bytes:
    """Return a time as in headers of HTTP."""
    at = _time(since_1970)
    return b"%s, %02d %s %04d %02d:%02d:%02d GMT" % (
        _DAYS[at.tm_wday],
        at.tm_mday,
        _MONTHS[at.tm_mon - 1],
        at.tm_year,
        *at[3:6],
    )


def cookie_time(since_1970: float) -> bytes:
    """Return a time as cookies expire at."""
    at = _time(since_1970)
    return b"%s, %02d-%s-%02d %02d:%02d:%02d GMT" % (
        _DAYS[at.tm_wday],
        at.tm_mday,
        _MONTHS[at.tm_mon - 1],
        at.tm_year % 100 if at.tm_year <= _LAST_SHORT_YEAR else at.tm_year,
        *at[3:6],
    )


def _time(since_1970: float) -> time.struct_time:
    if not since_1970 >= 0:  # nan is not, either
        since_1970 = 0
    return time.gmtime(min(since_1970, _LAST_SECOND))


def parse_http_time(text: bytes) -> int | None:
    """Return the seconds since 1970 of a time in a header of HTTP, or None if it is none."""
    for form in _HTTP_TIMES:
        match = form.match(text)
        if match is not None:
            break
    else:
        return None
    year = int(match["year"])
    if len(match["year"]) == 2:
        year += 2000 if year < 70 else 1900
    month = _MONTHS.index(match["month"]) + 1
    day, hour, minute, second = (int(match[part]) for part in ("day", "hour", "minute", "second"))
    try:
        at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return int(at.timestamp())


UPCALLS: Final[Mapping[bytes, Callable[..., object]]] = {
    b"now": now,
    b"time": seconds,
    b"today": today,
    b"localtime": local,
    b"utctime": utc,
    b"http_time": http_time,
    b"cookie_time": cookie_time,
    b"parse_http_time": parse_http_time,
    b"monotonic_msec": monotonic_milliseconds,
}
"""What Lua calls on the spot, by name."""
