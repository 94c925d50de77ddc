"""
What tests of services need: pools that may not be left busy, and a loop that may not be blocked.

Nothing here needs pytest; ``threadpool_lua.pytest_plugin`` makes fixtures and a marker of it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from time import perf_counter
from types import FrameType, TracebackType
from typing import Any, Final, Self, TypeAlias
from weakref import WeakSet

from ._chunk import Chunk
from ._pool import ThreadPool, _open_pools
from ._task import VISIT

__all__ = ["LoopLag", "LoopLagError", "OpenPool", "no_pool_left_open", "open_pool"]

_THREADS: Final = "threadpool_lua "  # what the names of a pool's threads begin with
_TO_LEAVE: Final = 5.0  # seconds that the threads of a closed pool have to end
_TICK: Final = 0.001  # seconds; how exactly lags are measured
# Where the loop calls what runs on it, and where it waits for something to call: what is outside
# of these in a stack is of no interest.
_LOOP: Final = frozenset(
    {
        "anyio._backends._asyncio",
        "asyncio.base_events",
        "asyncio.events",
        "asyncio.runners",
        "threadpool_lua.pytest_plugin",
        "selectors",
    }
)

OpenPool: TypeAlias = Callable[..., AbstractAsyncContextManager[ThreadPool]]
"""The type of `open_pool`, and of the fixture ``thread_pool``."""


@asynccontextmanager
async def open_pool(
    name: str = "default", *, timeout: float = 5, **options: Any
) -> AsyncIterator[ThreadPool]:
    """
    Open a pool for the ``async with`` block of a test; at its end all tasks must come to theirs.

    A block that ends by an exception closes the pool as ``async with ThreadPool(...)`` does.

    Args:
        name: the pool's name.
        timeout: how many seconds tasks that are still there after the block have to end.
        options: the other arguments of `ThreadPool`.

    Raises:
        AssertionError: tasks had not ended in time. It says which.
    """
    __tracebackhide__ = True
    async with ThreadPool(name, **options) as pool:
        yield pool
        try:
            async with asyncio.timeout(timeout):
                await pool.aclose()
        except TimeoutError:
            left = _left(pool)
            await pool.aclose(timeout=0)
            raise AssertionError(
                f'thread pool "{name}" has tasks left {timeout:g} s after its block: {left}'
            ) from None


def _left(pool: ThreadPool) -> str:
    """Say which tasks of a pool there are."""
    threads = pool._threads
    assert threads is not None
    entered = [task for worker in threads.workers if (task := worker.task) is not None]
    running = [task[2].chunk if task[1] is VISIT else task[1] for task in entered]
    paused = [task.chunk for task in pool._paused]
    waiting = pool.statistics().waiting
    left = [_counted("running", running), _counted("paused", paused)]
    if waiting:
        left.append(f"{waiting} waiting")
    return ", ".join(filter(None, left))


def _counted(state: str, chunks: list[Any]) -> str:
    """Say how many tasks are in a state, and what they run."""
    if not chunks:
        return ""
    names = {repr(Chunk(chunk) if isinstance(chunk, str) else chunk) for chunk in chunks}
    return f"{len(chunks)} {state} ({', '.join(sorted(names))})"


@contextmanager
def no_pool_left_open() -> Iterator[None]:
    """
    See to it that pools that are opened in a ``with`` block are closed in it, whoever opens them.

    Raises:
        AssertionError: a pool is left open, or 5 seconds after the block there are threads of one
            that run Lua code which does not end. It says which.
    """
    __tracebackhide__ = True
    pools = WeakSet(_open_pools)
    threads = set(threading.enumerate())
    yield
    still_open = [pool for pool in _open_pools - pools if not pool._closed]
    if still_open:
        raise AssertionError(f"left open: {_names(pool.name for pool in still_open)}")
    left = [
        thread
        for thread in threading.enumerate()
        if thread not in threads and thread.name.startswith(_THREADS)
    ]
    deadline = perf_counter() + _TO_LEAVE
    for thread in left:
        thread.join(max(0, deadline - perf_counter()))
    running = [
        thread.name.removeprefix(_THREADS).rpartition("-")[0]
        for thread in left
        if thread.is_alive()
    ]
    if running:
        raise AssertionError(f"closed, but still running: {_names(running)}")


def _names(names: Iterable[str]) -> str:
    return ", ".join(f'thread pool "{name}"' for name in sorted(set(names)))


class LoopLagError(AssertionError):
    """Raised when the event loop was blocked for longer than a `LoopLag` allows."""


class LoopLag:
    """
    Measures how long the running event loop is blocked during a ``with`` block.

    The loop is blocked while one callback, or one coroutine between two of its ``await``, runs:
    nothing else gets its turn. The loop may be asyncio's or uvloop's.

    Args:
        limit: for how many seconds at a time the loop may be blocked; by default as long as
            asyncio's debug mode allows. ``math.inf`` sets no limit.

    Raises:
        LoopLagError: at the end of the block, if the loop was blocked for longer. It says for how
            long, and where the loop's thread was when the limit was passed. If the block raises an
            exception itself, a note on that says so.
        RuntimeError: no asyncio loop is running.
        ValueError: `limit` is not more than 0.
    """

    longest: float
    """For how long the loop was blocked at most, in seconds, to a millisecond."""

    def __init__(self, limit: float = 0.1) -> None:
        if not limit > 0:
            raise ValueError(f"limit must be more than 0, not {limit!r}")
        self.limit = limit
        self.longest = 0.0
        self._over = threading.Event()
        # Where the loop's thread was seen after the limit, and the tick that was late then.
        self._seen: tuple[float, str] | None = None
        self._culprit = ""  # where it was in the longest lag

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._schedule()
        self._watcher = threading.Thread(target=self._watch, name="loop_lag", daemon=True)
        self._watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        __tracebackhide__ = True
        self._note_lag()
        self._tick.cancel()
        self._over.set()
        self._watcher.join()
        if self.longest <= self.limit:
            return
        if error is None:
            raise LoopLagError(self._complaint())
        error.add_note(self._complaint())

    def _schedule(self) -> None:
        self._due = perf_counter() + _TICK
        self._tick = self._loop.call_later(_TICK, self._on_tick)

    def _on_tick(self) -> None:
        self._note_lag()
        self._schedule()

    def _note_lag(self) -> None:
        """Note how late this tick is."""
        lag = perf_counter() - self._due
        if lag > self.longest:
            self.longest = lag
            seen = self._seen
            self._culprit = seen[1] if seen is not None and seen[0] == self._due else ""

    def _watch(self) -> None:
        """On a thread of its own: see where the loop's thread is whenever a tick is too late."""
        wait = self.limit
        while not self._over.wait(min(wait, threading.TIMEOUT_MAX)):
            due = self._due
            wait = due + self.limit - perf_counter()
            if wait <= 0:
                if self._seen is None or self._seen[0] != due:
                    self._seen = due, _callers(sys._current_frames().get(self._thread))
                wait = self.limit

    def _complaint(self) -> str:
        complaint = (
            f"the event loop was blocked for {self.longest:.3g} s, longer than {self.limit:g} s"
        )
        if not self._culprit:
            return f"{complaint}; no Python code was seen to do it"
        return f"{complaint}, here:\n{self._culprit}"


def _callers(frame: FrameType | None) -> str:
    """Tell, as in a traceback, what the loop has called that is in this frame."""
    frames = []
    while frame is not None and frame.f_globals.get("__name__") not in _LOOP:
        frames.append((frame, frame.f_lineno))
        frame = frame.f_back
    return "".join(traceback.StackSummary.extract(reversed(frames)).format()).rstrip()
