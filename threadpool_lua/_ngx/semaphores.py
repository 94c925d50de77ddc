"""
``ngx.semaphore``: those who wait for one.

Who gets a unit Lua decides, and counts the units: a semaphore belongs to one state, which one
thread at a time is in. To wait is to sleep until Lua says that there is a unit, or that is over.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from .requests import Request

if TYPE_CHECKING:
    import asyncio

    from .._task import Task


class Waiters:
    """Those who wait for a semaphore of one Lua state, by the numbers that Lua has."""

    def __init__(self) -> None:
        # None is one that was woken on its way here. Lua has all of them forgotten in the end.
        self._futures: dict[int, asyncio.Future[None] | None] = {}

    def wait(self, task: Task, number: int, seconds: float) -> asyncio.Future[None] | None:
        """Wait to be woken, for at most so many seconds; on the loop."""
        loop = task.pool._loop
        future: asyncio.Future[None] = loop.create_future()
        if self._futures.setdefault(number, future) is None:
            return None
        handle = loop.call_later(seconds, _wake, future)
        future.add_done_callback(lambda _: handle.cancel(), context=task.pool._callback_context)
        return future

    def wake(self, number: int) -> None:
        """Wake one, which may have been woken already; on any thread."""
        future = self._futures.setdefault(number, None)
        if future is not None:
            with suppress(RuntimeError):  # The loop is closed, and with it all that waits.
                future.get_loop().call_soon_threadsafe(_wake, future)

    def forget(self, number: int) -> None:
        """Hear that one waits no more."""
        self._futures.pop(number, None)

    def upcalls(self) -> dict[bytes, Callable[..., Any]]:
        """Return what Lua calls on the spot."""
        return {b"semaphore.wake": self.wake, b"semaphore.forget": self.forget}


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _wait(task: Task, number: int, seconds: float) -> asyncio.Future[None] | None:
    assert task.state is not None
    return task.state.waiters.wait(task, number, seconds)


REQUESTS: Final = {b"semaphore.wait": Request(_wait, on_loop=True)}
