"""
The loop's part of ``ngx.socket``: it makes connections, and does with them what Lua asks for.

What a line is, or a reply, ``lua/ngx/socket_buffer.lua`` finds out on the pool's thread. So who
reads gets whatever has come, and a reply of many lines is handed over at once.

In what these functions return, None and a text are an error, in the words of OpenResty.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from .connection import CLOSED, Connection, Failure, failure_of
from .context import context_of
from .datagrams import Datagrams
from .keepalive import TooManyWaitingError
from .requests import Request

if TYPE_CHECKING:
    from .._task import Task
    from .context import TaskContext
    from .keepalive import ConnectionPool

Address: TypeAlias = tuple[str, int]


async def _resolve(loop: asyncio.AbstractEventLoop, host: bytes) -> list[str]:
    """
    Return the addresses of a host.

    Raises:
        socket.gaierror: it has none.
        ValueError: it is empty.
    """
    name = host.decode(errors="replace").strip("[]")
    if not name:
        raise ValueError("no host")
    try:
        ip_address(name)
    except ValueError:
        pass
    else:
        return [name]
    try:
        found = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except ValueError as error:  # There can be no such name.
        raise socket.gaierror(socket.EAI_NONAME, str(error)) from None
    return list(dict.fromkeys(cast(str, address[0]) for *_, address in found))


async def _connect_stream(host: bytes, port: int, local: Address | None) -> Connection:
    loop = asyncio.get_running_loop()
    path = _unix_path(host)
    if path is not None:
        _, connection = await loop.create_unix_connection(lambda: Connection(loop), path)
        return connection
    failure = None
    for address in await _resolve(loop, host):
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(loop), address, port, local_addr=local
            )
        except OSError as error:
            failure = error
        else:
            return connection
    raise failure or OSError


async def _connect_datagrams(host: bytes, port: int, local: Address | None) -> Datagrams:
    loop = asyncio.get_running_loop()
    path = _unix_path(host)
    if path is not None:
        return Datagrams(loop, _connected(socket.AF_UNIX, path, "" if _CAN_AUTOBIND else None))
    failure = None
    for address in await _resolve(loop, host):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            return Datagrams(loop, _connected(family, (address, port), local))
        except OSError as error:
            failure = error
    raise failure or OSError


_CAN_AUTOBIND: Final = sys.platform == "linux"  # An address that answers can be sent to.


def _connected(family: int, peer: Address | str, local: Address | str | None) -> socket.socket:
    """Return a datagram socket, which connects without waiting."""
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        if local is not None:
            made.bind(local)
        made.connect(peer)
    except BaseException:
        made.close()
        raise
    return made


def _unix_path(host: bytes) -> str | None:
    """Return the path of the socket that the host is, if it is one."""
    if host[:5].lower() != b"unix:":
        return None
    path = host[5:]
    if not path:
        raise ValueError("no path in the unix domain socket")
    if len(path) > _LONGEST_UNIX_PATH:
        raise ValueError("too long path in the unix domain socket")
    return os.fsdecode(path)


def _why_unconnected(host: bytes, error: Exception) -> Failure:
    """Return what the Lua code gets where connecting has raised an error."""
    if isinstance(error, TooManyWaitingError):
        return None, b"too many waiting connect operations"
    if isinstance(error, socket.gaierror):
        why = b"2: Server failure" if error.errno in _RESOLVER_FAILURES else b"3: Host not found"
        return None, b"%s could not be resolved (%s)" % (host, why)
    if isinstance(error, ValueError):
        return None, b'failed to parse host name "%s": %s' % (host, str(error).encode())
    return failure_of(error)


_LONGEST_UNIX_PATH: Final = 107 if sys.platform == "linux" else 103
_RESOLVER_FAILURES: Final = (socket.EAI_AGAIN, socket.EAI_FAIL)


# ------------------------------------------------------------------------------- what Lua requests


def connect(
    task: Task,
    number: int,
    old: int,
    key: bytes,
    size: int,
    backlog: int | None,
    timeout: float,
    host: bytes,
    port: int,
    local_host: bytes | None = None,
    local_port: int = 0,
) -> Awaitable[int | Failure] | int:
    """
    Connect to a host and port, or to ``unix:/path``, or take a connection that is kept alive.

    Args:
        task: the task that will use it.
        number: the number that it is to have.
        old: the number of the connection that it replaces, or 0.
        key: the name of the pool, should there be one.
        size: the size that it is to be made with, or 0 to do without.
        backlog: its backlog, or None to do without.
        timeout: how long to wait, in seconds.
        host: the host.
        port: the port.
        local_host: the address to connect from.
        local_port: the port to connect from.

    Returns:
        How often it was used before.
    """
    context = context_of(task)
    _drop(context, old)
    pool = context.worker.connections.pools.get(key)
    connection = pool.take() if pool is not None else None
    if connection is not None:
        return _adopt(context, number, connection)
    local = (local_host.decode(), local_port) if local_host is not None else None
    return _connect(context, number, key, size, backlog, timeout, host, port, local)


async def _connect(
    context: TaskContext,
    number: int,
    key: bytes,
    size: int,
    backlog: int | None,
    timeout: float,
    host: bytes,
    port: int,
    local: Address | None,
) -> int | Failure:
    connections = context.worker.connections
    if size:
        pool: ConnectionPool | None = connections.pool(key, size, backlog)
    else:
        pool = connections.pools.get(key)
    try:
        async with asyncio.timeout(timeout):
            if pool is None:
                connection = await _connect_stream(host, port, local)
            else:
                connection = await _connect_in_turn(pool, host, port, local)
    except (TooManyWaitingError, OSError, ValueError) as error:
        return _why_unconnected(host, error)
    return _adopt(context, number, connection)


async def _connect_in_turn(
    pool: ConnectionPool, host: bytes, port: int, local: Address | None
) -> Connection:
    connection = await pool.turn()
    if connection is None:
        try:
            connection = await _connect_stream(host, port, local)
        except BaseException:
            pool.leave()
            raise
        connection.pool = pool
    return connection


def _adopt(context: TaskContext, number: int, connection: Connection) -> int:
    context.resources[number] = connection
    return connection.reused


def _drop(context: TaskContext, number: int) -> bool:
    dropped = context.resources.pop(number, None)
    if dropped is not None:
        dropped.close()
    return dropped is not None


def _connection(task: Task, number: int) -> Connection | None:
    return cast("Connection | None", context_of(task).resources.get(number))


def read(task: Task, number: int, timeout: float) -> object:
    """Return what has come over a connection, at least a byte."""
    connection = _connection(task, number)
    return CLOSED if connection is None else connection.read(timeout)


def write(task: Task, number: int, data: bytes, timeout: float) -> object:
    """Write to a connection; True when the kernel has got all of it."""
    connection = _connection(task, number)
    return CLOSED if connection is None else connection.write(data, timeout)


def is_used(task: Task, number: int) -> bool:
    """Tell whether somebody waits for a connection, as Lua believes."""
    connection = _connection(task, number)
    return connection is not None and connection.is_used()


async def handshake(
    task: Task, number: int, server_name: bytes | None, verify: bool, timeout: float
) -> bool | Failure:
    """Begin to encrypt a connection, which is closed if that fails."""
    connection = _connection(task, number)
    if connection is None:
        return CLOSED
    name = server_name.decode(errors="replace") if server_name else None
    context = context_of(task)
    contexts = context.worker.connections.tls_contexts
    kind = verify, verify and name is not None
    tls = contexts.get(kind)
    if tls is None:  # To read all the certificates that are trusted takes long.
        loop = asyncio.get_running_loop()
        tls = contexts[kind] = await loop.run_in_executor(None, _new_tls_context, *kind)
    result = await connection.start_tls(tls, name, timeout)
    if result is not True:
        _drop(context, number)
    return result


def _new_tls_context(verify: bool, check_hostname: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = check_hostname
    if not verify:
        context.verify_mode = ssl.CERT_NONE
    return context


def option(task: Task, number: int, name: bytes, value: int | None = None) -> object:
    """Return an option of a connection's socket; or set it, if there is a value."""
    connection = _connection(task, number)
    if connection is None or connection.is_closing():
        return CLOSED
    try:
        return connection.option(name, value)
    except OSError as error:
        return failure_of(error)


def keep(task: Task, number: int, key: bytes, size: int, idle_time: float) -> bool | Failure:
    """Keep a connection for who asks next, for at most that many seconds, or for ever if 0."""
    connection = _connection(task, number)
    if connection is None:
        return CLOSED
    why_not = connection.why_not_kept()
    if why_not is CLOSED:
        return CLOSED
    context = context_of(task)
    if why_not is not None:
        _drop(context, number)
        return why_not
    del context.resources[number]
    context.worker.connections.pool(key, size).keep(connection, idle_time)
    return True


def close(task: Task, number: int) -> bool | Failure:
    """Close a connection, or a datagram socket."""
    return True if _drop(context_of(task), number) else CLOSED


async def set_peer(
    task: Task,
    number: int,
    old: int,
    host: bytes,
    port: int,
    local_host: bytes | None = None,
    local_port: int = 0,
) -> bool | Failure:
    """Make a datagram socket; the arguments are those of `connect`."""
    context = context_of(task)
    _drop(context, old)
    local = (local_host.decode(), local_port) if local_host is not None else None
    try:
        datagrams = await _connect_datagrams(host, port, local)
    except (OSError, ValueError) as error:
        return _why_unconnected(host, error)
    context.resources[number] = datagrams
    return True


def _datagrams(task: Task, number: int) -> Datagrams | None:
    return cast("Datagrams | None", context_of(task).resources.get(number))


def send(task: Task, number: int, data: bytes) -> int | Failure:
    """Send a datagram."""
    datagrams = _datagrams(task, number)
    return CLOSED if datagrams is None else datagrams.send(data)


def receive(task: Task, number: int, size: int, timeout: float) -> object:
    """Return a datagram."""
    datagrams = _datagrams(task, number)
    return CLOSED if datagrams is None else datagrams.receive(size, timeout)


_FUNCTIONS: Final[dict[bytes, Callable[..., object]]] = {
    b"connect": connect,
    b"read": read,
    b"write": write,
    b"is_used": is_used,
    b"handshake": handshake,
    b"option": option,
    b"keep": keep,
    b"close": close,
    b"set_peer": set_peer,
    b"send": send,
    b"receive": receive,
}

REQUESTS: Final = {
    b"socket." + name: Request(function, on_loop=True) for name, function in _FUNCTIONS.items()
}
