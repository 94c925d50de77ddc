"""The cost of many tasks that are paused at the same time: time, memory, and the loop's ticks."""

from __future__ import annotations

import asyncio
import gc
import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from threadpool_lua import ThreadPool

from ._measure import (
    LOOPS,
    TICK,
    Row,
    alternate,
    forget_peak_of_memory,
    in_a_process_of_its_own,
    largest_gap,
    memory,
    require,
    show,
)

THREADS = 2
COUNTS = (1_000, 10_000, 100_000)
ROUNDS = {"for_a_second": 3, "all_at_once": 2}
CHUNK = "host.wait()"
AT_ONCE = 100  # tasks that are begun in one go; then the loop gets its turn, as in a server
KILOBYTE = 1000
THREADS_TRIED = 1_000  # by to_thread, at most

# What is required of the largest count.
MAX_SECONDS = 4
MAX_KILOBYTES = 3
MAX_TIMES = 1.5

Figures = dict[str, float]
Start = Callable[[], Awaitable[Any]]


# ------------------------------------------------- what runs in a process of its own


@asynccontextmanager
async def in_the_pool(
    count: int, wait: Callable[[], Awaitable[None]], _: Callable[[], None]
) -> AsyncIterator[tuple[Start, Callable[[], int]]]:
    async with ThreadPool(
        "paused", threads=THREADS, states=THREADS, max_queue=count, functions={"wait": wait}
    ) as pool:
        yield lambda: pool.submit(CHUNK), lambda: pool.statistics().paused


@asynccontextmanager
async def plain_tasks(
    count: int, wait: Callable[[], Awaitable[None]], _: Callable[[], None]
) -> AsyncIterator[tuple[Start, Callable[[], int]]]:
    yield lambda: asyncio.ensure_future(wait()), lambda: count


@asynccontextmanager
async def to_thread(
    count: int, _: Callable[[], Awaitable[None]], block: Callable[[], None]
) -> AsyncIterator[tuple[Start, Callable[[], int]]]:
    with ThreadPoolExecutor(count) as executor:
        asyncio.get_running_loop().set_default_executor(executor)
        yield lambda: asyncio.ensure_future(asyncio.to_thread(block)), lambda: count


Peer = Callable[
    [int, Callable[[], Awaitable[None]], Callable[[], None]],
    AbstractAsyncContextManager[tuple[Start, Callable[[], int]]],
]
PEERS: dict[str, Peer] = {"pool": in_the_pool, "asyncio": plain_tasks, "to_thread": to_thread}


async def idle_memory(start: Start) -> float:
    """Warm up, and return the bytes that the process has then; its peak counts from there."""
    # Few at a time: what many have used would be used again by those that are measured.
    for _ in range(50):
        await asyncio.gather(*(start() for _ in range(10)))
    gc.collect()
    forget_peak_of_memory()
    return memory("VmRSS")


async def begin(start: Start, count: int) -> list[Awaitable[Any]]:
    futures = []
    for number in range(count):
        futures.append(start())
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
    return futures


async def for_a_second(peer: Peer, count: int) -> Figures:
    """
    Measure tasks that pause for a second each, while a timer ticks.

    Where the second is longer than it takes to begin them all, what that takes beyond the second
    is no more than to begin them; where it is not, it is to end them, too. So what `all_at_once`
    tells of the cost of few and of many is easier to compare.
    """
    seconds = 0.0

    async def wait() -> None:
        await asyncio.sleep(seconds)

    async with peer(count, wait, lambda: time.sleep(seconds)) as (start, _):
        idle = await idle_memory(start)
        seconds = 1.0
        gaps: list[float] = []
        async with largest_gap(gaps):
            began = perf_counter()
            # One after the other: asyncio.gather adds an object for each.
            for future in await begin(start, count):
                await future
            elapsed = perf_counter() - began
        return {
            "seconds": elapsed,
            "cost": (elapsed - seconds) / count * 1e6,
            "peak": (memory("VmHWM") - idle) / count / KILOBYTE,
            "gap": gaps[0],
        }


async def all_at_once(peer: Peer, count: int) -> Figures:
    """Measure tasks that pause until all do, and so for certain at the same time."""
    waiting = 0
    everybody_waits = asyncio.Event()
    go_on = asyncio.Event()
    go_on.set()

    async def wait() -> None:
        nonlocal waiting
        waiting += 1
        if waiting == count:
            everybody_waits.set()
        await go_on.wait()

    async with peer(count, wait, lambda: None) as (start, paused):
        idle = await idle_memory(start)
        go_on.clear()
        waiting = 0
        began = perf_counter()
        futures = await begin(start, count)
        await everybody_waits.wait()
        elapsed = perf_counter() - began
        assert paused() == count
        all_paused = memory("VmRSS")
        began = perf_counter()
        go_on.set()
        for future in futures:
            await future
        elapsed += perf_counter() - began
        return {
            "cost": elapsed / count * 1e6,
            "kilobytes": (all_paused - idle) / count / KILOBYTE,
            "peak": (memory("VmHWM") - idle) / count / KILOBYTE,
        }


WAYS = {way.__name__: way for way in (for_a_second, all_at_once)}


# ------------------------------------------------------------ what starts these processes


def thread_limit() -> tuple[float, str]:
    """Return how many threads this machine allows in all, and what says so."""
    limits: dict[str, float] = {"nothing known": math.inf}
    for name, threads in ("kernel/threads-max", 1), ("kernel/pid_max", 1), ("vm/max_map_count", 2):
        path = Path("/proc/sys") / name
        if path.exists():
            limits[name.replace("/", ".")] = int(path.read_text()) // threads
    name = min(limits, key=lambda name: limits[name])
    return limits[name], name


def why_no_threads(count: int) -> str | None:
    """Return why a thread for each of `count` tasks is not measured, if it is not."""
    limit, name = thread_limit()
    if count >= limit:
        return f"not possible: it takes {count:,} threads, and {name} allows {limit:,}"
    if count > THREADS_TRIED:
        return f"not tried: it takes {count:,} of the {limit:,} threads that {name} allows"
    return None


async def compare(
    way: str, loop_name: str, peers: list[tuple[str, int]]
) -> dict[str, dict[str, Row]]:
    """Return the rows of each figure."""
    rows: dict[str, dict[str, Row]] = defaultdict(dict)

    async def measure(peer: str, count: int) -> float:
        figures = in_a_process_of_its_own("paused", way, loop_name, peer, str(count), timeout=120)
        name = label(peer, count)
        for figure, value in figures.items():
            rows[figure].setdefault(name, Row(name, [])).figures.append(value)
        return figures["cost"]

    measures: dict[str, Callable[[], Awaitable[float]]] = {
        label(*peer): partial(measure, *peer) for peer in peers
    }
    await alternate(measures, ROUNDS[way], warm=False)
    return rows


def label(peer: str, count: int) -> str:
    return f"{peer}, {count:,}"


def show_own_share(costs: dict[str, Row]) -> None:
    """Print how far what the pool adds to plain asyncio tasks grows, and what these do."""
    few, many = COUNTS[0], COUNTS[-1]
    cost = {(p, n): costs[label(p, n)].median for p in ("pool", "asyncio") for n in (few, many)}
    own = {n: cost["pool", n] - cost["asyncio", n] for n in (few, many)}
    asyncio_grows = cost["asyncio", many] / cost["asyncio", few]
    print(
        f"  beyond asyncio's own: {own[few]:.2f} with {few:,}, {own[many]:.2f} with {many:,}, "
        f"{own[many] / own[few]:.2f} times; asyncio's own grows {asyncio_grows:.2f} times"
    )


async def report(loop_name: str) -> None:
    few, many = label("pool", COUNTS[0]), label("pool", COUNTS[-1])
    ours_and_floor = [(peer, count) for peer in ("pool", "asyncio") for count in COUNTS]
    possible = [("to_thread", count) for count in COUNTS if why_no_threads(count) is None]

    rows = await compare("for_a_second", loop_name, ours_and_floor + possible)
    title = f"{loop_name}, {THREADS} threads and states, tasks that pause for a second"
    show(title, "seconds in all", rows["seconds"], few)
    for count in COUNTS:
        if why := why_no_threads(count):
            print(f"  {label('to_thread', count):<24}{why}")
    require(f"{many}: seconds", rows["seconds"][many].median, MAX_SECONDS)
    show(title, "µs per task beyond the second", rows["cost"], few)
    times = rows["cost"][many].median / rows["cost"][few].median
    require(f"{many}: times the cost of {COUNTS[0]:,}", times, MAX_TIMES)
    show_own_share(rows["cost"])
    show(title, "KB per task at the peak", rows["peak"], few)
    require(f"{many}: KB per task", rows["peak"][many].median, MAX_KILOBYTES)
    show(title, f"ms of the largest gap between ticks of {TICK * 1000:.0f} ms", rows["gap"], few)

    rows = await compare("all_at_once", loop_name, ours_and_floor)
    title = f"{loop_name}, {THREADS} threads and states, tasks that pause until all do"
    show(title, "µs per task", rows["cost"], few)
    times = rows["cost"][many].median / rows["cost"][few].median
    require(f"{many}: times the cost of {COUNTS[0]:,}", times, MAX_TIMES)
    show_own_share(rows["cost"])
    show(title, "KB per task while all are paused", rows["kilobytes"], few)
    show(title, "KB per task at the peak", rows["peak"], few)
    require(f"{many}: KB per task", rows["peak"][many].median, MAX_KILOBYTES)


def run() -> None:
    """Run this part."""
    for name in LOOPS:
        asyncio.run(report(name))


if __name__ == "__main__":
    way, loop_name, peer, count = sys.argv[1:]
    print(json.dumps(LOOPS[loop_name](WAYS[way](PEERS[peer], int(count)))))
