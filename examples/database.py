"""
SQLite from four threads, through a driver for Lua that is written in C.

Each Lua state has a connection of its own, which the pool's ``init`` chunk opens. The driver
blocks its thread, for instance while another connection writes; the event loop keeps ticking.

It needs LuaSQL for Lua 5.1, which LuaJIT loads as well: ``apt-get install lua-sql-sqlite3``.

Run it: ``python examples/database.py [--cpath PATTERN]``
"""

import argparse
import asyncio
import os
import sys
import time
from glob import glob
from pathlib import Path
from tempfile import TemporaryDirectory

from threadpool_lua import Chunk, InitError, ThreadPool

INIT = Chunk.from_file(Path(__file__).with_suffix(".lua"))
DRIVER = "luasql/sqlite3.so"
PLACES = ("/usr/local/lib/lua/5.1", "/usr/lib/*/lua/5.1", "/usr/lib/lua/5.1")

BATCHES = 500
NOTES = [f"It's note {number}." for number in range(1, 101)]
BY_WRITER = "SELECT writer, count(*) AS notes FROM note GROUP BY writer ORDER BY writer"
TICK = 0.01  # seconds


def default_cpath() -> str:
    """Return where the driver is, in the notation of Lua's ``package.cpath``."""
    found = [path for place in PLACES for path in glob(f"{place}/{DRIVER}")]
    directory = found[0].removesuffix(f"/{DRIVER}") if found else PLACES[0]
    return f"{directory}/?.so"


async def tick(pauses: list[float]) -> None:
    """Note how long each tick of the loop takes."""
    while True:
        start = time.perf_counter()
        await asyncio.sleep(TICK)
        pauses.append(time.perf_counter() - start)


async def take_notes(cpath: str) -> None:
    """Write and read a table from all threads of a pool at once."""
    async with ThreadPool("database", threads=4, package_cpath=cpath, init=INIT) as pool:
        # The functions are globals that `init` has left in each state.
        await pool.submit("create()")
        pauses: list[float] = []
        ticker = asyncio.create_task(tick(pauses))
        start = time.perf_counter()
        counts = await asyncio.gather(
            *(pool.submit("return insert(...)", NOTES) for _ in range(BATCHES))
        )
        seconds = time.perf_counter() - start
        ticker.cancel()
        print(f"{sum(counts)} notes written in {seconds:.2f} s")
        slowest = max(pauses, default=0)
        print(
            f"meanwhile the loop ticked {len(pauses)} times, {slowest * 1000:.0f} ms apart at most"
        )

        for row in await pool.submit("return query(...)", BY_WRITER):
            print(f"connection {row['writer']} wrote {row['notes']} notes")


def main() -> None:
    parser = argparse.ArgumentParser(description="Use SQLite from several threads through Lua.")
    parser.add_argument("--cpath", default=default_cpath(), help="where the driver is: /path/?.so")
    cpath = parser.parse_args().cpath

    with TemporaryDirectory() as directory:
        os.environ["NOTES_DATABASE"] = str(Path(directory) / "notes.db")
        try:
            asyncio.run(take_notes(cpath))
        except InitError as error:
            if "module 'luasql.sqlite3' not found" not in str(error):
                raise
            print(f"The SQLite driver for Lua is not in {cpath}.")
            print("Install it (apt-get install lua-sql-sqlite3), or say where it is with --cpath.")
            sys.exit(1)


if __name__ == "__main__":
    main()
