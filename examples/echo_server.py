"""
A TCP server that sends every line back, by way of Lua on a thread pool.

The line ``sleep 2`` blocks its thread in a C call for 2 seconds, and no other client notices.

Run it: ``python examples/echo_server.py [--host HOST] [--port PORT] [--threads N]``, and then talk
to it: ``nc 127.0.0.1 8007``. Ctrl-C or SIGTERM ends it.
"""

import argparse
import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from threadpool_lua import Chunk, QueueFullError, ThreadPool, ThreadPoolError

INIT = Chunk.from_file(Path(__file__).with_suffix(".lua"))
REPLY = Chunk("return reply(...)", "reply")


async def serve(listener: socket.socket, threads: int, max_queue: int) -> None:
    """Serve clients until this task is cancelled."""
    loop = asyncio.get_running_loop()
    this_task = asyncio.current_task()
    assert this_task is not None
    for number in signal.SIGINT, signal.SIGTERM:
        loop.add_signal_handler(number, this_task.cancel)

    # Without an encoding strings are bytes in both directions, so clients may send what they like.
    # The cancellation ends the connections first, and then closes the pool.
    async with (
        ThreadPool("echo", threads=threads, max_queue=max_queue, init=INIT, encoding=None) as pool,
        asyncio.TaskGroup() as connections,
    ):
        server = await asyncio.start_server(
            lambda reader, writer: connections.create_task(talk(pool, reader, writer)),
            sock=listener,
            backlog=1024,
        )
        try:
            host, port = listener.getsockname()
            print(f"listening on {host}:{port}", flush=True)
            await loop.create_future()
        finally:
            server.close()


async def talk(
    pool: ThreadPool, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer the lines of one client, one after the other, until it hangs up."""
    # An OSError is a client that went away, perhaps in the middle of a line or of an answer.
    with suppress(OSError):
        try:
            while True:
                try:
                    line = await read_line(reader)
                except ValueError as error:
                    reply = b"error: %s" % str(error).encode()
                else:
                    if not line:
                        break
                    reply = await answer(pool, line.removesuffix(b"\n"))
                writer.write(reply + b"\n")
                await writer.drain()
        finally:
            writer.close()


async def read_line(reader: asyncio.StreamReader) -> bytes:
    """
    Read a line; at the end of the stream it is empty.

    Raises:
        ValueError: the line is too long. It has been skipped, and the next one can be read.
    """
    too_long = False
    while True:
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            line = error.partial
        except asyncio.LimitOverrunError as error:
            # What has come of the line is dropped at once: it must not pile up in memory.
            await reader.readexactly(error.consumed)
            too_long = True
            continue
        if too_long:
            raise ValueError("the line is too long")
        return line


async def answer(pool: ThreadPool, line: bytes) -> bytes:
    """Have Lua answer a line. Whatever goes wrong is an answer as well."""
    try:
        reply: bytes = await pool.submit(REPLY, line)
    except QueueFullError as error:
        return f"busy: {error}".encode()
    except ThreadPoolError as error:
        return f"error: {error}".encode()
    return reply


def main() -> None:
    parser = argparse.ArgumentParser(description="Echo lines by way of Lua on a thread pool.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, default=8007, help="the port; 0 takes any free one")
    parser.add_argument("--threads", type=int, default=4, help="the number of pool threads")
    parser.add_argument("--max-queue", type=int, default=65536, help="lines that may wait for one")
    options = parser.parse_args()

    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with suppress(ImportError):
        import uvloop

        new_loop = uvloop.new_event_loop

    try:
        listener = socket.create_server((options.host, options.port))
    except OSError as error:
        sys.exit(f"cannot listen on {options.host}:{options.port}: {error}")
    with (
        listener,
        asyncio.Runner(loop_factory=new_loop) as runner,
        suppress(asyncio.CancelledError),
    ):
        runner.run(serve(listener, options.threads, options.max_queue))


if __name__ == "__main__":
    main()
