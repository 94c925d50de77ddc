"""
A connection, as the loop has it: it reads what comes, and waits no longer than told.

In what is returned here for Lua, None and a text are an error, in the words of OpenResty.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final, TypeAlias, cast

if TYPE_CHECKING:
    from .keepalive import ConnectionPool

Failure: TypeAlias = tuple[None, bytes]

CLOSED: Final = (None, b"closed")
TIMEOUT: Final = (None, b"timeout")
HANDSHAKE_FAILED: Final = (None, b"handshake failed")

_OPTIONS: Final = {
    b"keepalive": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    b"reuseaddr": (socket.SOL_SOCKET, socket.SO_REUSEADDR),
    b"tcp-nodelay": (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    b"sndbuf": (socket.SOL_SOCKET, socket.SO_SNDBUF),
    b"rcvbuf": (socket.SOL_SOCKET, socket.SO_RCVBUF),
}

_MOST_UNREAD: Final = 2**18  # bytes that wait to be asked for before the peer has to wait, too


def failure_of(error: Exception | None) -> Failure:
    """Return what the Lua code gets where an operation has failed."""
    if error is None:
        return CLOSED
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):
        return None, os.strerror(error.errno).lower().encode()
    return TIMEOUT if isinstance(error, TimeoutError) else (None, b"error")


class Connection(asyncio.Protocol):
    """A connected socket: what has come and was not asked for yet, and what is waited for."""

    __slots__ = (
        "_end",
        "_is_idle",
        "_is_lost",
        "_is_paused",
        "_loop",
        "_plain_transport",
        "_reader",
        "_timer",
        "_transport",
        "_unread",
        "_unread_size",
        "_write_timer",
        "_writer",
        "pool",
        "reused",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.pool: ConnectionPool | None = None
        """The pool that counts it."""

        self.reused = 0
        """How often it was taken from a pool."""

        self._loop = loop
        self._transport: asyncio.Transport = None  # type: ignore[assignment]
        self._plain_transport: asyncio.Transport = None  # type: ignore[assignment]
        self._unread: list[bytes] = []
        self._unread_size = 0
        self._is_paused = False
        self._is_idle = False
        self._is_lost = False
        self._end: Failure | None = None  # why no more comes
        self._reader: asyncio.Future[bytes | Failure] | None = None
        self._writer: asyncio.Future[bool | Failure] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------------------- the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = self._plain_transport = cast(asyncio.Transport, transport)
        # What was written has been handed to the kernel, unless writing is paused.
        self._transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        """Hand over what has come, or keep it."""
        if self._is_idle:
            self.close()
        elif not self._answer_reader(data):
            self._unread.append(data)
            self._unread_size += len(data)
            if self._unread_size >= _MOST_UNREAD and not self._is_paused:
                self._is_paused = True
                self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Tell who reads that the peer sends no more; it may still be written to."""
        self._ended(CLOSED)
        return not self._is_encrypted()  # TLS has no half-closed connections.

    def connection_lost(self, error: Exception | None) -> None:
        """Tell who reads or writes."""
        self._is_lost = True
        failure = failure_of(error)
        self._ended(failure, is_told=self._answer_writer(failure))

    def _ended(self, failure: Failure, is_told: bool = False) -> None:
        is_told = self._answer_reader(failure) or is_told
        if self._end is None:
            self._end = CLOSED if is_told else failure
        if self._is_idle:
            self.close()

    def pause_writing(self) -> None:
        """Have `write` wait."""
        if self._writer is None:
            self._writer = self._loop.create_future()

    def resume_writing(self) -> None:
        """Tell who writes that all is written."""
        self._answer_writer(True)

    # ------------------------------------------------------------------------------- the operations

    def read(self, timeout: float) -> bytes | Failure | asyncio.Future[bytes | Failure]:
        """Return what has come, at least one byte, or a future for it."""
        if self._unread:
            data = self._unread[0] if len(self._unread) == 1 else b"".join(self._unread)
            self._unread.clear()
            self._unread_size = 0
            if self._is_paused:
                self._is_paused = False
                self._transport.resume_reading()
            return data
        if self._end is not None:
            return self._tell_end()
        self._reader = self._loop.create_future()
        self._timer = self._loop.call_later(timeout, self._answer_reader, TIMEOUT)
        return self._reader

    def _answer_reader(self, answer: bytes | Failure) -> bool:
        """Answer who reads; tell whether somebody does."""
        reader = self._reader
        if reader is None or reader.cancelled():
            return False
        self._reader = None
        self._be_busy()
        reader.set_result(answer)
        return True

    def write(self, data: bytes, timeout: float) -> bool | Failure | Awaitable[bool | Failure]:
        """Write all, and return True or a future for it."""
        if self._writer is not None:  # Who has begun to write was killed in the middle of it.
            return CLOSED
        if self.is_closing():
            failure = self._tell_end()
            return (None, b"broken pipe") if failure is CLOSED else failure
        transport = self._transport
        transport.write(data)
        if self._writer is None:
            if not transport.is_closing():
                return True
            self._writer = self._loop.create_future()  # Why it has failed is told in a moment.
        self._watch_writing(timeout, transport.get_write_buffer_size())
        return self._writer

    def _tell_end(self) -> Failure:
        """Return why the connection has ended; the first who asks is told the error."""
        failure, self._end = self._end, CLOSED
        return failure or CLOSED

    def is_closing(self) -> bool:
        """Tell whether it is closed, or about to be."""
        return self._is_lost or self._transport.is_closing()

    def _watch_writing(self, timeout: float, left: int) -> None:
        self._write_timer = self._loop.call_later(timeout, self._look_at_writing, timeout, left)

    def _look_at_writing(self, timeout: float, left: int) -> None:
        """Give up if nothing was written since the last time."""
        size = self._transport.get_write_buffer_size()
        if size < left:
            self._watch_writing(timeout, size)
        else:
            self._answer_writer(TIMEOUT)

    def _answer_writer(self, answer: bool | Failure) -> bool:
        """Answer who writes; tell whether somebody does."""
        writer = self._writer
        if writer is None or writer.cancelled():
            return False
        self._writer = None
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        writer.set_result(answer)
        return True

    def _is_encrypted(self) -> bool:
        return self._transport is not self._plain_transport

    async def start_tls(
        self, context: ssl.SSLContext, server_name: str | None, timeout: float
    ) -> bool | Failure:
        """Encrypt from now on."""
        if self._is_encrypted():
            return True
        if self.is_closing():
            return HANDSHAKE_FAILED
        try:
            async with asyncio.timeout(timeout):
                transport = await self._loop.start_tls(
                    self._transport,
                    self,
                    context,
                    server_hostname=server_name,
                    ssl_handshake_timeout=2 * timeout,  # Ours comes first.
                )
        except TimeoutError:
            return TIMEOUT
        except ssl.SSLCertVerificationError as error:
            if error.verify_message.startswith(("Hostname mismatch", "IP address mismatch")):
                return None, b"certificate host mismatch"
            return None, f"{error.verify_code}: {error.verify_message}".encode()
        except OSError:
            return HANDSHAKE_FAILED
        if transport is None:  # It was lost meanwhile.
            return HANDSHAKE_FAILED
        self._transport = transport
        transport.set_write_buffer_limits(high=1, low=0)
        return True

    def is_used(self) -> bool:
        """Tell whether who waits for it may get an answer: who was killed takes it along."""
        if any(who is not None and who.cancelled() for who in (self._reader, self._writer)):
            self.close()
        return not self.is_closing()

    def option(self, option: bytes, value: int | None = None) -> int:
        """Get an option of the socket, or set it."""
        underlying = self._transport.get_extra_info("socket")
        level, number = _OPTIONS[option]
        if value is None:
            return cast(int, underlying.getsockopt(level, number))
        underlying.setsockopt(level, number, value)
        return value

    # ------------------------------------------------------------------------------- between tasks

    def why_not_kept(self) -> Failure | None:
        """Tell why nobody else may have it."""
        if self._unread:
            return None, b"connection in dubious state"
        return CLOSED if self._end is not None or self.is_closing() else None

    def idle(self, time: float) -> None:
        """Wait for a task, and no longer than that time; 0 is for ever."""
        self._is_idle = True
        if time:
            self._timer = self._loop.call_later(time, self.close)

    def taken(self) -> Connection:
        """Be of use again."""
        self.reused += 1
        self._be_busy()
        return self

    def _be_busy(self) -> None:
        self._is_idle = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Close it; what the kernel has got already will be sent."""
        self._be_busy()
        pool, self.pool = self.pool, None
        if pool is not None:
            pool.leave(self)
        self._answer_reader(CLOSED)
        self._answer_writer(CLOSED)
        if self._is_encrypted() and self._plain_transport.get_write_buffer_size():
            self._transport.close()
        else:
            self._transport.abort()  # As nginx: without a word of TLS.
