"""``ngx.sleep``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .requests import Request

if TYPE_CHECKING:
    import asyncio

    from .._task import Task


def _sleep(task: Task, seconds: float) -> asyncio.Future[None]:
    loop = task.pool._loop
    over: asyncio.Future[None] = loop.create_future()
    handle = loop.call_later(seconds, _end, over)
    over.add_done_callback(lambda _: handle.cancel(), context=task.pool._callback_context)
    return over


def _end(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)


REQUESTS: Final = {b"sleep": Request(_sleep, on_loop=True)}
