"""The connections that tasks keep alive for others: nginx's pools of cosockets, by server."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .connection import Connection


class TooManyWaitingError(Exception):
    """Raised when a pool has no room for one more who waits for a connection."""


class ConnectionPool:
    """
    The connections to one server: those in use, those that are idle, and who waits for one.

    Args:
        connections: where it is to be found, as long as it has connections.
        key: its name.
        size: how many connections may be idle; with a backlog also how many there may be.
        backlog: how many may wait for one of them; None if nobody has to.
    """

    __slots__ = ("_count", "_idle", "_key", "_pools", "_waiting", "backlog", "size")

    def __init__(
        self, connections: Connections, key: bytes, size: int, backlog: int | None
    ) -> None:
        self.size = size
        self.backlog = backlog
        self._pools = connections.pools
        self._key = key
        self._count = 0  # those that are about to be made, or waited for, included
        self._idle: deque[Connection] = deque()  # the one that was used last is the last
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()

    def take(self) -> Connection | None:
        """Return the idle connection that was used last, if there is one."""
        return self._idle.pop().taken() if self._idle else None

    async def turn(self) -> Connection | None:
        """
        Wait until one more connection may be made; what makes it, or fails to, calls `leave`.

        Returns:
            One that has become free meanwhile, which is to be used instead.

        Raises:
            TooManyWaitingError: too many wait already.
        """
        backlog = self.backlog
        if backlog is not None and self._count >= self.size + backlog:
            raise TooManyWaitingError
        self._count += 1
        if backlog is None or self._count <= self.size:
            return None
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except BaseException:
            if waiter.cancelled():
                self._count -= 1
            else:  # It has had its turn, and was cancelled before it came to know.
                connection = waiter.result()
                if connection is None:
                    self.leave()
                else:
                    connection.close()
            raise

    def keep(self, connection: Connection, idle_time: float) -> None:
        """Give a connection to who waits for one, or keep it for who asks next."""
        if connection.pool is None:
            connection.pool = self
            self._count += 1
        waiter = self._next_waiter()
        if waiter is not None:
            self._count -= 1  # Both had a place.
            waiter.set_result(connection.taken())
            return
        if len(self._idle) >= self.size:
            self._idle[0].close()
        self._idle.append(connection)
        connection.idle(idle_time)

    def leave(self, connection: Connection | None = None) -> None:
        """Count one connection less: a certain one, if it has been made."""
        if connection is not None and connection in self._idle:
            self._idle.remove(connection)
        self._count -= 1
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_result(None)
        elif self._count == 0 and self._pools.get(self._key) is self:
            del self._pools[self._key]

    def _next_waiter(self) -> asyncio.Future[Connection | None] | None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle[-1].close()


class Connections:
    """What the sockets of all tasks of a loop have in common."""

    def __init__(self) -> None:
        self.pools: dict[bytes, ConnectionPool] = {}
        """By name; a pool is there as long as it has connections."""

        self.tls_contexts: dict[tuple[bool, bool], ssl.SSLContext] = {}
        """By whether they verify certificates, and whether the name in these."""

    def pool(self, key: bytes, size: int, backlog: int | None = None) -> ConnectionPool:
        """Return the pool of that name, or make it."""
        pool = self.pools.get(key)
        if pool is None:
            pool = self.pools[key] = ConnectionPool(self, key, size, backlog)
        return pool

    def close(self) -> None:
        """Close all idle connections."""
        for pool in list(self.pools.values()):
            pool.close()
