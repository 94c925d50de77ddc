"""
Overload: ten times the tasks that a pool can serve.

Clients submit ten times as many tasks as the pool has served before, for a time. What does not fit
into its queue is refused. Each measurement has a process of its own.
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from time import perf_counter

from threadpool_lua import QueueFullError, ThreadPool

from ._bench import LOOPS, Bench
from ._measure import MEGABYTE, TICK, forget_peak_of_memory, memory
from ._results import Figures

ON = ("uvloop",)
ONE, TWO = "1 thread", "2 threads"
THREADS = {ONE: 1, TWO: 2}
MAX_QUEUE = 1000
TIMES_TOO_MANY = 10
CHUNK = "local n = 0 for i = 1, 100000 do n = n + i % 3 end return ..."  # less than a millisecond

TIMES_COST = "time per task, times that before"
PEAK, LATER = "MB at the peak beyond an idle pool", "MB more in the second half"
REFUSAL, SLOW_REFUSAL = "a refusal, median, µs", "a refusal, 99th percentile, µs"
OVERTAKEN = "tasks that ended after a younger one"
AFTER = "latency after it, times that of a new pool"

# What is required: at most so much.
LIMITS = {
    TIMES_COST: 1.25,
    PEAK: 2,
    LATER: 1,
    SLOW_REFUSAL: 50,
    OVERTAKEN: 0,
    AFTER: 1.5,
}


# ------------------------------------------------- what runs in a process of its own


@dataclass
class Load:
    """What became of the tasks that were submitted."""

    accepted: int = 0
    refused: int = 0
    completed: int = 0
    latest: int = -1  # the number of the latest accepted task that has completed
    overtaken: int = 0  # tasks that completed after one that was accepted after them
    refusals: Counter[int] = field(default_factory=Counter)  # by how long they took, in 0.1 µs

    def submit(self, pool: ThreadPool) -> None:
        start = perf_counter()
        try:
            future = pool.submit(CHUNK, self.accepted)
        except QueueFullError:
            self.refusals[round((perf_counter() - start) * 1e7)] += 1
            self.refused += 1
        else:
            self.accepted += 1
            future.add_done_callback(self.complete)

    def complete(self, future: asyncio.Future[int]) -> None:
        number = future.result()
        self.completed += 1
        self.overtaken += number < self.latest
        self.latest = max(self.latest, number)

    def refusal(self, share: float) -> float:
        """Return how long a refusal took, in µs, at most, of the quickest `share` of them."""
        left = share * self.refused
        for tenths in sorted(self.refusals):
            left -= self.refusals[tenths]
            if left <= 0:
                return tenths / 10
        return 0


async def capacity(pool: ThreadPool, seconds: float) -> float:
    """Return how many tasks a second the pool completes, where there are always some that wait."""
    completed = 0
    start = perf_counter()
    while (elapsed := perf_counter() - start) < seconds:
        await asyncio.gather(*(pool.submit(CHUNK, i) for i in range(MAX_QUEUE // 2)))
        completed += MAX_QUEUE // 2
    return completed / elapsed


async def idle_latencies(probes: int, *pools: ThreadPool) -> list[float]:
    """Return how long a task takes in each of some pools that are idle, in µs."""
    latencies: list[list[float]] = [[] for _ in pools]
    for _ in range(probes):
        for pool, its_own in zip(pools, latencies, strict=True):
            await asyncio.sleep(2 * TICK)  # The threads sleep by then.
            start = perf_counter()
            await pool.submit("return ...", 1)
            its_own.append((perf_counter() - start) * 1e6)
    return [median(its_own) for its_own in latencies]


async def overload(threads: int, seconds: float, probes: int) -> Figures:
    async with ThreadPool("bench", threads=threads, max_queue=MAX_QUEUE) as pool:
        per_second = await capacity(pool, min(seconds, 2))
        gc.collect()
        forget_peak_of_memory()
        idle = halfway = memory("VmRSS")
        load = Load()
        start = perf_counter()
        while (elapsed := perf_counter() - start) < seconds:
            due = int(elapsed * per_second * TIMES_TOO_MANY)
            while load.accepted + load.refused < due:
                load.submit(pool)
            if elapsed < seconds / 2:
                halfway = memory("VmRSS")
            await asyncio.sleep(TICK)
        served = load.completed / elapsed
        grown, peak = memory("VmRSS"), memory("VmHWM")
        while load.completed < load.accepted:
            await asyncio.sleep(TICK)
        async with ThreadPool("new", threads=threads, max_queue=MAX_QUEUE) as new:
            await capacity(new, min(seconds, 0.1))
            # Side by side: since before the machine may have changed its mood.
            after, of_new = await idle_latencies(probes, pool, new)
        return {
            "submitted/s": (load.accepted + load.refused) / elapsed,
            "served/s": served,
            TIMES_COST: per_second / served,
            PEAK: (peak - idle) / MEGABYTE,
            LATER: (grown - halfway) / MEGABYTE,
            REFUSAL: load.refusal(0.5),
            SLOW_REFUSAL: load.refusal(0.99),
            OVERTAKEN: load.overtaken,
            AFTER: after / of_new,
        }


def overloaded(threads: int, seconds: float, probes: int) -> Figures:
    figures: Figures = LOOPS["uvloop"](overload(threads, seconds, probes))
    return figures


# ------------------------------------------------------------ what starts these processes


async def too_many(bench: Bench) -> None:
    """
    Ten times too many.

    With one thread tasks end in order. With two they begin in order; which one ends first is a
    matter of the machine.
    """
    seconds = bench.duration(full=15, fast=2, tiny=0.02)
    probes = bench.pick(full=300, fast=30, tiny=2)
    found = await bench.compare(
        {
            name: partial(bench.apart, overloaded, threads, seconds, probes)
            for name, threads in THREADS.items()
        },
        ours=ONE,
        rounds=1,
        warm=False,
        draw=False,
    )
    for name in found.contenders:
        for figure, limit in LIMITS.items():
            if figure != OVERTAKEN or name == ONE:
                bench.require(f"{name}: {figure}", found.median(figure, name), at_most=limit)


SECTIONS = (too_many,)
