"""``ngx.log``: what tasks log goes to the logger ``threadpool_lua.ngx``, on the pool thread."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Final

_logger: Final = logging.getLogger("threadpool_lua.ngx")

# nginx's levels by number, and Python's that are nearest. There is none above CRITICAL.
_LEVELS: Final = (
    ("stderr", logging.CRITICAL),
    ("emerg", logging.CRITICAL),
    ("alert", logging.CRITICAL),
    ("crit", logging.CRITICAL),
    ("error", logging.ERROR),
    ("warn", logging.WARNING),
    ("notice", logging.INFO),
    ("info", logging.INFO),
    ("debug", logging.DEBUG),
)


def is_enabled(level: int) -> bool:
    """Return whether anybody wants to know what is logged at a level of nginx's."""
    return _logger.isEnabledFor(_LEVELS[level][1])


def log(
    level: int, message: bytes, path: bytes, line: int, function: bytes | None = None
) -> bytes | None:
    """
    Log a message.

    Args:
        level: nginx's.
        message: as it is.
        path: the file or chunk whose code logs it.
        line: where in there.
        function: the name of the Lua function, if it is known.

    Returns:
        Why it failed, if a filter or a handler has raised something.
    """
    name, its_level = _LEVELS[level]
    record = _logger.makeRecord(
        _logger.name,
        its_level,
        os.fsdecode(path),
        line,
        message.decode(errors="backslashreplace"),
        (),
        None,
        None if function is None else function.decode(errors="backslashreplace"),
        {"ngx_level": name},
    )
    try:
        _logger.handle(record)
    except Exception as error:
        return f"{type(error).__name__}: {error}".encode()
    return None


UPCALLS: Final[Mapping[bytes, Callable[..., object]]] = {b"log_enabled": is_enabled, b"log": log}
"""What Lua calls on the spot, by name."""
