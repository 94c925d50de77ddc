"""
Pauses: what many tasks cost that are paused at the same time.

A task calls an `async` host function, and waits there. Beside it, the same function in a task of
asyncio's own, and threads that block, one for each, as `asyncio.to_thread` needs. Each measurement
has a process of its own, so that none uses memory that another has left.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from time import perf_counter
from typing import Any

from threadpool_lua import ThreadPool

from ._bench import LOOPS, Bench
from ._measure import COST, forget_peak_of_memory, largest_gap, memory
from ._results import Comparison, Figures, MissingError

ON = ("uvloop",)
THREADS = 2
CHUNK = "host.wait()"
AT_ONCE = 100  # tasks that are begun in one go; then the loop gets its turn, as in a server
WARMING = 10
KILOBYTE = 1000
MOST_THREADS = 1_000
OURS, FLOOR, IN_THREADS = "submit", "tasks of asyncio", "asyncio.to_thread"
SECONDS, GAP = "seconds in all", "largest gap, ms"
WHILE_PAUSED, AT_THE_PEAK = "KB per task, paused", "KB per task, at the peak"

# What is required of the largest count.
MAX_SECONDS = 4
MAX_KILOBYTES = 3
MAX_TIMES = 1.5

Wait = Callable[[], Awaitable[None]]
Start = Callable[[], Awaitable[Any]]
# Gives what starts a task, and tells how many are paused.
Contender = Callable[
    [int, Wait, Callable[[], None]],
    AbstractAsyncContextManager[tuple[Start, Callable[[], int]]],
]


# ------------------------------------------------- what runs in a process of its own


@asynccontextmanager
async def in_the_pool(
    count: int, wait: Wait, _: Callable[[], None]
) -> AsyncIterator[tuple[Start, Callable[[], int]]]:
    async with ThreadPool(
        "paused",
        threads=THREADS,
        states=THREADS,
        max_queue=max(count, WARMING),
        functions={"wait": wait},
    ) as pool:
        yield lambda: pool.submit(CHUNK), lambda: pool.statistics().paused


@asynccontextmanager
async def tasks_of_asyncio(
    count: int, wait: Wait, _: Callable[[], None]
) -> AsyncIterator[tuple[Start, Callable[[], int]]]:
    yield lambda: asyncio.ensure_future(wait()), lambda: count


@asynccontextmanager
async def to_thread(
    count: int, _: Wait, block: Callable[[], None]
) -> AsyncIterator[tuple[Start, Callable[[], int]]]:
    with ThreadPoolExecutor(count) as executor:
        asyncio.get_running_loop().set_default_executor(executor)
        yield lambda: asyncio.ensure_future(asyncio.to_thread(block)), lambda: count


CONTENDERS: dict[str, Contender] = {
    OURS: in_the_pool,
    FLOOR: tasks_of_asyncio,
    IN_THREADS: to_thread,
}


async def idle_memory(start: Start) -> float:
    """Warm up, and return the bytes that the process has then; its peak counts from there."""
    # Few at a time: what many have used would be used again by those that are measured.
    for _ in range(50):
        await asyncio.gather(*(start() for _ in range(WARMING)))
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


async def pause_for(seconds: float, contender: str, count: int) -> Figures:
    now = elapsed = 0.0

    async def wait() -> None:
        await asyncio.sleep(now)

    async def all_of_them() -> None:
        nonlocal elapsed
        began = perf_counter()
        # One after the other: asyncio.gather adds an object for each.
        for future in await begin(start, count):
            await future
        elapsed = perf_counter() - began

    async with CONTENDERS[contender](count, wait, lambda: time.sleep(now)) as (start, _):
        idle = await idle_memory(start)
        now = seconds
        gap = await largest_gap(all_of_them)
        kilobytes = (memory("VmHWM") - idle) / count / KILOBYTE
        return {SECONDS: elapsed, GAP: gap, AT_THE_PEAK: kilobytes}


async def pause_until_all_do(contender: str, count: int) -> Figures:
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

    async with CONTENDERS[contender](count, wait, lambda: None) as (start, paused):
        idle = await idle_memory(start)
        waiting = 0
        everybody_waits.clear()
        go_on.clear()
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
            COST: elapsed / count * 1e6,
            WHILE_PAUSED: (all_paused - idle) / count / KILOBYTE,
        }


def on_a_loop(way: Callable[[str, int], Awaitable[Figures]], contender: str, count: int) -> Figures:
    figures: Figures = LOOPS["uvloop"](way(contender, count))
    return figures


# ------------------------------------------------------------ what starts these processes


async def for_a_second(bench: Bench) -> None:
    """
    Tasks that pause for a second each.

    A second is what it takes at least. The gap is the longest time between two ticks of a timer.
    """
    counts = bench.pick(full=(1000, 10_000, 100_000), fast=(1000, 10_000), tiny=(10,))
    way = partial(pause_for, bench.pick(full=1.0, fast=1.0, tiny=0.01))
    found = await compare(bench, way, list(CONTENDERS), counts)
    most = counts[-1]
    if found.row(OURS, most):
        bench.require(
            f"seconds of {most:,} tasks that pause for one",
            found.median(SECONDS, OURS, most),
            at_most=MAX_SECONDS,
        )
        bench.require(
            f"KB per task with {most:,}",
            found.median(AT_THE_PEAK, OURS, most),
            at_most=MAX_KILOBYTES,
        )


async def until_all_do(bench: Bench) -> None:
    """
    Tasks that pause until all do.

    So all are paused at the same time for certain. The cost is that of a whole task with its pause.

    Why the curves bend: few tasks share the cost of waking a thread and the loop; the memory of few
    is what was free in pages that the process had.
    """
    counts = bench.pick(
        full=(1, 10, 100, 1000, 10_000, 100_000), fast=(100, 1000, 10_000), tiny=(10,)
    )
    found = await compare(bench, pause_until_all_do, [OURS, FLOOR], counts)
    few, most = min(1000, counts[-1]), counts[-1]
    if found.row(OURS, most):
        bench.require(
            f"cost of {most:,} tasks that pause: times that of {few:,}",
            found.median(COST, OURS, most) / found.median(COST, OURS, few),
            at_most=MAX_TIMES,
        )


async def compare(
    bench: Bench,
    way: Callable[[str, int], Awaitable[Figures]],
    contenders: Sequence[str],
    counts: Sequence[int],
) -> Comparison:
    async def measure(contender: str, count: int) -> Figures:
        if contender == IN_THREADS and count > MOST_THREADS:
            raise MissingError("not tried, as it takes as many threads")
        return await bench.apart(on_a_loop, way, contender, count)

    return await bench.grow(
        {name: partial(measure, name) for name in contenders},
        counts,
        axis="paused tasks",
        ours=OURS,
        rounds=bench.pick(full=3, fast=1, tiny=1),
        warm=False,  # each in its own process
    )


SECTIONS = (for_a_second, until_all_do)
