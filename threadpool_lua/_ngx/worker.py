"""What plays the nginx worker process for the tasks of a pool, or of several pools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from .._host import HostFunction
from . import (
    base64,
    clock,
    hashes,
    light_threads,
    log,
    process,
    regex,
    semaphores,
    shared,
    sleep,
    sockets,
    worker_threads,
)
from .keepalive import Connections

if TYPE_CHECKING:
    from pathlib import Path

    from .._pool import ThreadPool
    from .requests import Request
    from .worker_threads import CalledCoroutine

_REQUESTS: Final[Mapping[bytes, Request]] = {
    **light_threads.REQUESTS,
    **semaphores.REQUESTS,
    **sleep.REQUESTS,
    **worker_threads.REQUESTS,
    **sockets.REQUESTS,
}

_HOST_FUNCTIONS: Final[Mapping[bytes, HostFunction]] = {
    name: HostFunction(
        name.decode(), request.function, f"ngx.{name.decode()}", request.on_loop, wants_task=True
    )
    for name, request in _REQUESTS.items()
}


class NgxWorker:
    """
    What tasks have in common through ``ngx``.

    It belongs to one pool, or to all pools of a `ThreadPools`, and refers to none of them strongly.

    Attributes:
        pools: the pools, by name.
        prefix: the folder that the configuration is relative to; None means the current one.
        exiting: whether the pool, or all pools, take no more tasks.
        coroutines: those that tasks resume in others, by number.
        shared: the shared dictionaries, by name; complete before the first task runs.
        connections: those that tasks keep alive for others.
        upcalls: what Lua calls on the spot, by name. It raises nothing, and takes and returns
            nothing but ``None``, bool, numbers and bytes, or a tuple of these.
        requests: what Lua asks for while a task is paused, by name.
    """

    def __init__(self) -> None:
        self.pools: WeakValueDictionary[str, ThreadPool] = WeakValueDictionary()
        self.exiting = False
        self.prefix: Path | None = None
        self.coroutines: WeakValueDictionary[int, CalledCoroutine] = WeakValueDictionary()
        self.shared: dict[str, shared.SharedDict] = {}
        self.connections = Connections()
        self.upcalls: dict[bytes, Callable[..., Any]] = {
            b"number": count(1).__next__,
            **base64.UPCALLS,
            **clock.UPCALLS,
            **hashes.UPCALLS,
            **log.UPCALLS,
            **regex.UPCALLS,
            **process.upcalls(self),
            **shared.upcalls(self),
            **worker_threads.upcalls(self),
        }
        self.requests = _HOST_FUNCTIONS

    def leave(self, name: str) -> None:
        """Note that a pool is closed; on the loop."""
        self.pools.pop(name, None)
        if not self.pools:
            self.connections.close()
