"""
A demonstration of the echo server: work that blocks in Lua delays nobody else.

It starts ``echo_server.py`` by itself. Its exit code is 0 if all quick lines were answered while
the slow one still slept, and 1 if not.

Run it: ``python examples/echo_client.py``
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

SERVER = Path(__file__).with_name("echo_server.py")
CLIENTS = 20
LINES = [f"line {number}" for number in range(1, 51)]


class Answer(NamedTuple):
    """A line of the server, and how long it took to come."""

    text: str
    seconds: float


@asynccontextmanager
async def echo_server() -> AsyncIterator[tuple[str, int]]:
    """Run the server on a free port, and give its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, SERVER, "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        ready = (await process.stdout.readline()).decode()
        if not ready:
            sys.exit("The server did not start.")
        host, _, port = ready.removeprefix("listening on ").rpartition(":")
        yield host, int(port)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def ask(address: tuple[str, int], *lines: str) -> list[Answer]:
    """Send lines over a connection of their own, each after the answer to the one before."""
    reader, writer = await asyncio.open_connection(*address)
    answers = []
    for line in lines:
        start = time.perf_counter()
        writer.write(f"{line}\n".encode())
        text = (await reader.readline()).decode().removesuffix("\n")
        answers.append(Answer(text, time.perf_counter() - start))
    writer.close()
    await writer.wait_closed()
    return answers


async def demonstrate() -> bool:
    """Show that the server answers while it sleeps, and return whether it did."""
    async with echo_server() as address:
        [hello] = await ask(address, "Hello, Lua!")
        print(f"The server echoes: {hello.text}")

        print(f"One client sends 'sleep 2', and {CLIENTS} others send {len(LINES)} lines each.")
        blocking = asyncio.create_task(ask(address, "sleep 2"))
        quick = await asyncio.gather(*(ask(address, *LINES) for _ in range(CLIENTS)))
        was_asleep = not blocking.done()
        [slept] = await blocking

    slowest = max(answer.seconds for answers in quick for answer in answers)
    all_right = all([answer.text for answer in answers] == LINES for answers in quick)
    print(f"The slowest of the quick answers took {slowest * 1000:.1f} ms.")
    print(f"The blocking one took {slept.seconds:.2f} s: {slept.text}")
    return was_asleep and all_right


def main() -> None:
    if asyncio.run(demonstrate()):
        print("All quick lines were answered while the other thread slept.")
    else:
        sys.exit("The quick lines were delayed, or not answered as they should be.")


if __name__ == "__main__":
    main()
