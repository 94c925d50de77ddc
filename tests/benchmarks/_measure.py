"""Ways to measure."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from ._results import Figures, Measure, MissingError

COST = "µs per task"
TICK = 0.001  # seconds
MEGABYTE = 1e6
LONGEST = 600.0  # seconds that a process of its own may take

Submit = Callable[[], Awaitable[Any]]


async def one_after_the_other(submit: Submit, count: int) -> None:
    """Await `count` calls of `submit`."""
    for _ in range(count):
        await submit()


async def in_flight(work: Callable[[int], Awaitable[Any]], many: int, each: int) -> Figures:
    """Have `work` do something `each` times, `many` times at once; return what each costs."""
    start = perf_counter()
    await asyncio.gather(*(work(each) for _ in range(many)))
    return {COST: (perf_counter() - start) / (many * each) * 1e6}


async def largest_gap(work: Submit) -> float:
    """Return the longest time between two ticks of a timer while `work` is done, in ms."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        last = perf_counter()
        while True:
            await asyncio.sleep(TICK)
            now = perf_counter()
            longest = max(longest, now - last)
            last = now

    ticker = asyncio.ensure_future(tick())
    await asyncio.sleep(10 * TICK)
    try:
        result = await work()
        # A gap that lasts to the end has to be seen by a tick.
        await asyncio.sleep(2 * TICK)
    finally:
        ticker.cancel()
    del result  # Not before: to free a large one takes its time, too.
    return longest * 1000


def memory(what: str) -> float:
    """Return the bytes that this process has ("VmRSS") or has had at most ("VmHWM")."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        raise MissingError("only Linux tells how much memory a process has") from None
    return int(status.partition(f"{what}:")[2].split()[0]) * 1024


def forget_peak_of_memory() -> None:
    """Have "VmHWM" count from now on."""
    clear_refs = Path("/proc/self/clear_refs")
    if clear_refs.exists():
        clear_refs.write_text("5")


def in_a_process(function: Callable[..., Figures], *arguments: object) -> Figures:
    """Call a function in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply_async(function, arguments).get(LONGEST)


def for_at_least(seconds: float, drive: Callable[[int], Awaitable[Figures]]) -> Measure:
    """Return a measure of a `drive` that does something as often as it takes to last so long."""
    count = 1

    async def measure() -> Figures:
        nonlocal count
        while True:
            start = perf_counter()
            figures = await drive(count)
            if perf_counter() - start >= seconds:
                return figures
            count *= 2

    return measure
