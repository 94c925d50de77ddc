"""Datagrams, which the kernel keeps until Lua asks for them."""

from __future__ import annotations

import asyncio
import socket

from .connection import CLOSED, TIMEOUT, Failure, failure_of


class Datagrams:
    """
    A datagram socket with a peer.

    Args:
        loop: the loop that its task belongs to.
        connected: the socket, which does not block.
    """

    __slots__ = ("_loop", "_reader", "_socket", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, connected: socket.socket) -> None:
        self._loop = loop
        self._socket = connected
        self._reader: asyncio.Future[bytes | Failure] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def send(self, data: bytes) -> int | Failure:
        """Send one, now."""
        try:
            self._socket.send(data)
        except OSError as error:
            return failure_of(error)
        return 1

    def receive(
        self, size: int, timeout: float
    ) -> bytes | Failure | asyncio.Future[bytes | Failure]:
        """Return the first that has come and was not received yet, or a future for it."""
        received = self._received(size)
        if received is not None:
            return received
        self._reader = self._loop.create_future()
        self._loop.add_reader(self._socket, self._look, size)
        self._timer = self._loop.call_later(timeout, self._answer_reader, TIMEOUT)
        return self._reader

    def _received(self, size: int) -> bytes | Failure | None:
        try:
            return self._socket.recv(size)
        except BlockingIOError:
            return None
        except OSError as error:
            return failure_of(error)

    def _look(self, size: int) -> None:
        if self._reader is None or self._reader.done():
            self._answer_reader(CLOSED)
            return
        received = self._received(size)
        if received is not None:
            self._answer_reader(received)

    def _answer_reader(self, answer: bytes | Failure) -> None:
        self._loop.remove_reader(self._socket)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(answer)

    def close(self) -> None:
        """Close it."""
        self._answer_reader(CLOSED)
        self._socket.close()
