"""A small HTTP server, and wrk, which asks it."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import unquote

from ._lua import FOLDER
from ._results import MissingError

SCRIPT = FOLDER / "wrk.lua"
QUICK, WORK = "/quick", "/work/"  # the latter with its argument behind it
LONGEST = 60  # seconds that a request may take

# Returns a future where somebody else does the work.
Work = Callable[[str], "int | asyncio.Future[int]"]


class Connection(asyncio.Protocol):
    """A client that sends one request after the other, each in one piece, as wrk does."""

    def __init__(self, work: Work, transports: set[asyncio.Transport]) -> None:
        self._work = work
        self._transports = transports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transports.add(self._transport)

    def connection_lost(self, _: Exception | None) -> None:
        self._transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        path = data.split(b" ", 2)[1].decode()
        if path == QUICK:
            self._answer("quick")
            return
        result = self._work(unquote(path.removeprefix(WORK)))
        if isinstance(result, asyncio.Future):
            result.add_done_callback(lambda done: self._answer(done.result()))
        else:
            self._answer(result)

    def _answer(self, answer: object) -> None:
        body = str(answer)
        if not self._transport.is_closing():
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}"
            self._transport.write(f"{head}\r\n\r\n{body}".encode())


@asynccontextmanager
async def serve(work: Work) -> AsyncIterator[str]:
    """Serve what is answered at once, and what is work for an argument; give the address."""
    loop = asyncio.get_running_loop()
    transports: set[asyncio.Transport] = set()
    server = await loop.create_server(lambda: Connection(work, transports), "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"
    finally:
        server.close()
        for transport in list(transports):
            transport.abort()  # What clients have asked for last is no longer done.


async def wrk(
    address: str, paths: Sequence[str], *, clients: int, seconds: int, pause: int = 0
) -> dict[str, Any]:
    """
    Ask a server for some paths in turn.

    Args:
        address: where the server is.
        paths: what to ask for.
        clients: how many there are; each sends one request after the other.
        seconds: for how long.
        pause: for how many milliseconds a client pauses before each, on average.

    Returns:
        What wrk.lua prints.
    """
    if shutil.which("wrk") is None:
        raise MissingError("wrk, which asks the server, is not installed")
    options = f"--threads=1 --connections={clients} --duration={seconds}s --timeout={LONGEST}s"
    process = await asyncio.create_subprocess_exec(
        "wrk", *options.split(), "--script", SCRIPT, address, "--", str(pause), *paths,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    printed, _ = await process.communicate()
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    assert not found["errors"], found
    return found
