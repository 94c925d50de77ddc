"""
Looks for threads that a function of C does not let go of, in a pool with a time limit.

Lua code is stopped by the hook of limits.lua. What no hook reaches, such as a query of a database
driver written in C, cannot be stopped at all: its task fails, and its thread is replaced, so that
the pool has as many as before. The old thread leaves when the function returns, if it ever does.
"""

from __future__ import annotations

import logging
import weakref
from time import monotonic
from typing import TYPE_CHECKING, Final

from ._exceptions import LuaTimeLimitError

if TYPE_CHECKING:
    import asyncio

    from ._pool import ThreadPool
    from ._threads import Threads

_INTERVAL: Final = 0.25  # seconds between two looks
_GRACE: Final = 1.0  # seconds beyond the time limit that the hook has to stop a task

_logger = logging.getLogger("threadpool_lua")


class Supervisor:
    """
    Replaces the threads of one pool that are stuck; it runs on the loop.

    Args:
        pool: the pool, which it does not keep alive.
        threads: its threads.
        loop: the loop.
        time_limit: that of the pool, in seconds.
    """

    __slots__ = ("_handle", "_loop", "_pool", "_threads", "_time_limit")

    def __init__(
        self,
        pool: ThreadPool,
        threads: Threads,
        loop: asyncio.AbstractEventLoop,
        time_limit: float,
    ) -> None:
        self._pool = weakref.ref(pool)
        self._threads = threads
        self._loop = loop
        self._time_limit = time_limit
        self._handle = loop.call_later(_INTERVAL, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._handle.cancel()

    def _look(self) -> None:
        pool = self._pool()
        if pool is None:
            return
        self._handle = self._loop.call_later(_INTERVAL, self._look)
        self._threads.fill_places()
        now = monotonic()
        for state in list(self._threads.states):
            limiter = state.limiter
            if limiter is None:
                continue
            deadline = limiter.deadline
            if now < deadline + _GRACE:
                continue
            worker = state.entered_by
            task = worker.task
            # The race: the thread comes back from C just now, and goes on with another task. What
            # follows up to the assignment is one step to the interpreter, as it calls nothing.
            if limiter.deadline != deadline:
                continue
            state.lost = "a function of C has not returned in it"
            seconds = now - deadline
            error = LuaTimeLimitError(
                f"the time limit of {self._time_limit} s was exceeded by {seconds:.1f} s in a "
                f'function of C that has not returned (thread pool "{pool.name}")'
            )
            replaced = self._threads.replace(worker, state, pool)
            _logger.error(
                'thread pool "%s": a function of C has not returned for %.1f s in %r; '
                "its thread %s",
                pool.name,
                seconds + self._time_limit,
                task[2].chunk if hasattr(task[2], "chunk") else task[1],
                "is replaced" if replaced else "cannot be replaced",
            )
            pool._give_up(task, error)
            pool._end_lost(state)
            pool._drain()  # Of what was set aside in the state, the end has come, too.
