"""The functions of Python's that Lua calls on the spot, from inside of a step."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from ._limits import Limiter

_logger = logging.getLogger("threadpool_lua")


def upcall(
    functions: Mapping[bytes, Callable[..., Any]], limiter: Limiter | None
) -> Callable[..., Any]:
    """
    Return what Lua calls with the name of a function and its arguments.

    Such a call does not pause the task, so it works where Lua cannot yield. No exception may leave
    it, as lupa would hand it to Lua: a Python object, which would stay there.

    Args:
        functions: the functions, by name.
        limiter: that of the state.
    """

    def call(name: bytes, *args: Any) -> Any:
        try:
            return functions[name](*args)
        except Exception:
            _logger.exception("threadpool_lua failed in %s, called from Lua", name.decode())
            return None

    if limiter is None:
        return call

    def call_without_memory_limit(name: bytes, *args: Any) -> Any:
        try:
            return call(name, *args)
        finally:
            # lupa has the results before it. Lua restores the limit when it has got them.
            limiter.lift_memory_limit()

    return call_without_memory_limit
