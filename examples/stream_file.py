"""
The rows of a CSV file, read by Lua on a thread, and added up on the event loop as they come.

Lua may be ``PREFETCH`` rows ahead, and then waits. So a file of any size takes little memory, and
the loop has time for other things.

Run it: ``python examples/stream_file.py [FILE] [--group-by COLUMN] [--sum COLUMN]``. Without a file
it makes one.
"""

import argparse
import asyncio
import csv
import sys
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from threadpool_lua import Chunk, ThreadPool, ThreadPoolError

ROWS = Chunk.from_file(Path(__file__).with_suffix(".lua"))
PREFETCH = 100  # rows
TICK = 0.01  # seconds

SHOPS = ("Corner Shop", "Smith, Jones & Sons", 'The "Old" Mill')
NOTES = ("", "paid in cash", "to be delivered,\nplease ring twice")
SALES = 100_000


def make_file(path: Path) -> Path:
    """Write a file of some MB, with commas, quotes and ends of lines in its fields."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "shop", "note", "amount"])
        for number in range(SALES):
            shop, note = SHOPS[number % len(SHOPS)], NOTES[number % 7 % len(NOTES)]
            writer.writerow([number, shop, note, number % 1000 / 4])
    return path


async def tick(pauses: list[float]) -> None:
    """Note how long each tick of the loop takes."""
    while True:
        start = time.perf_counter()
        await asyncio.sleep(TICK)
        pauses.append(time.perf_counter() - start)


async def add_up(path: Path, group_by: str, summed: str) -> None:
    """Print the totals of one column, by what stands in another."""
    totals: defaultdict[str, float] = defaultdict(float)
    count = 0
    async with ThreadPool("files", threads=1) as pool:
        pauses: list[float] = []
        ticker = asyncio.create_task(tick(pauses))
        start = time.perf_counter()
        # What Lua yields together arrives as a tuple.
        rows = pool.stream(ROWS, str(path), group_by, summed, prefetch=PREFETCH)
        async for group, amount in rows:
            totals[group] += amount
            count += 1
        seconds = time.perf_counter() - start
        ticker.cancel()

    for group, total in sorted(totals.items()):
        print(f"{group}: {total:,.2f}")
    size = path.stat().st_size / 1e6
    print(f"{count} rows, {size:.1f} MB, read in {seconds:.2f} s")
    slowest = max(pauses, default=0)
    print(f"meanwhile the loop ticked {len(pauses)} times, {slowest * 1000:.0f} ms apart at most")


def main() -> None:
    parser = argparse.ArgumentParser(description="Add up a column of a CSV file.")
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--group-by", default="shop", metavar="COLUMN")
    parser.add_argument("--sum", default="amount", metavar="COLUMN")
    options = parser.parse_args()

    with TemporaryDirectory() as directory:
        path = options.file or make_file(Path(directory) / "sales.csv")
        try:
            asyncio.run(add_up(path, options.group_by, options.sum))
        except ThreadPoolError as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
