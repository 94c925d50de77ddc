"""Warns of what runs for long on the threads of a pool, in one with `slow_task`."""

from __future__ import annotations

import logging
import weakref
from time import monotonic
from typing import TYPE_CHECKING, Final

from ._chunk import Chunk
from ._task import VISIT

if TYPE_CHECKING:
    import asyncio

    from ._pool import ThreadPool
    from ._threads import Queued, Threads

_LOOKS: Final = 4  # in the time that is slow

_logger = logging.getLogger("threadpool_lua")


class SlowTasks:
    """
    Looks at the threads now and then, so that tasks cost nothing; it runs on the loop.

    Args:
        pool: the pool, which it does not keep alive.
        seconds: how long a step may run before there is a warning.
    """

    __slots__ = ("_handle", "_interval", "_loop", "_pool", "_running", "_seconds", "_threads")

    _loop: asyncio.AbstractEventLoop
    _threads: Threads
    _handle: asyncio.TimerHandle

    def __init__(self, pool: ThreadPool, seconds: float) -> None:
        self._pool = weakref.ref(pool)
        self._seconds = seconds
        self._interval = seconds / _LOOKS
        # What ran at the last look, by its identity: since when, and whether it has been told of.
        self._running: dict[int, tuple[Queued, float, bool]] = {}

    def start(self, threads: Threads, loop: asyncio.AbstractEventLoop) -> None:
        """Look at these threads from now on."""
        self._threads = threads
        self._loop = loop
        self._handle = loop.call_later(self._interval, self._look)

    def stop(self) -> None:
        """Look no more; only once it has been started."""
        self._handle.cancel()
        self._running.clear()

    def _look(self) -> None:
        pool = self._pool()
        if pool is None:
            return
        self._handle = self._loop.call_later(self._interval, self._look)
        now = monotonic()
        running: dict[int, tuple[Queued, float, bool]] = {}
        for worker in self._threads.workers:
            task = worker.task
            if task is None:
                continue
            _, since, is_told = self._running.get(id(task), (task, now, False))
            if not is_told and now - since >= self._seconds:
                is_told = True
                chunk = task[2].chunk if task[1] is VISIT else task[1]
                _logger.warning(
                    'thread pool "%s": %r has been running for %.3g s',
                    pool.name,
                    Chunk(chunk) if isinstance(chunk, str) else chunk,
                    now - since,
                )
            running[id(task)] = task, since, is_told
        self._running = running
