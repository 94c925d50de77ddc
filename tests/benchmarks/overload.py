"""Ten times the tasks that a pool can serve: memory, the cost of a refusal, order, and after it."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter

from threadpool_lua import QueueFullError, ThreadPool

from ._measure import (
    LOOPS,
    MEGABYTE,
    TICK,
    duration,
    forget_peak_of_memory,
    in_a_process_of_its_own,
    memory,
    require,
)

THREADS = (1, 2)
SECONDS = 30.0
MAX_QUEUE = 1000
TIMES_TOO_MANY = 10
CHUNK = "local n = 0 for i = 1, 100000 do n = n + i % 3 end return ..."  # less than a millisecond
PROBES = 300

# What is required.
MAX_MEGABYTES = 2
MAX_MEGABYTES_LATER = 1
MAX_REFUSAL = 50  # µs, of 99 in 100
MAX_TIMES_LATENCY = 1.5
MAX_TIMES_COST = 1.25


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
                break
        return tenths / 10


async def capacity(pool: ThreadPool, seconds: float) -> float:
    """Return how many tasks a second the pool completes, where there are always some that wait."""
    completed = 0
    start = perf_counter()
    while (elapsed := perf_counter() - start) < seconds:
        await asyncio.gather(*(pool.submit(CHUNK, i) for i in range(MAX_QUEUE // 2)))
        completed += MAX_QUEUE // 2
    return completed / elapsed


async def idle_latencies(*pools: ThreadPool) -> list[float]:
    """Return how long a task takes in each of some pools that are idle, in µs."""
    latencies: list[list[float]] = [[] for _ in pools]
    for _ in range(PROBES):
        for pool, its_own in zip(pools, latencies, strict=True):
            await asyncio.sleep(2 * TICK)  # The threads sleep by then.
            start = perf_counter()
            await pool.submit("return ...", 1)
            its_own.append((perf_counter() - start) * 1e6)
    return [median(its_own) for its_own in latencies]


async def overload(threads: int, seconds: float) -> dict[str, float]:
    async with ThreadPool("bench", threads=threads, max_queue=MAX_QUEUE) as pool:
        per_second = await capacity(pool, min(seconds, 2))
        (latency,) = await idle_latencies(pool)
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
            await capacity(new, 0.1)
            latency_after, latency_of_new = await idle_latencies(pool, new)
        return {
            "capacity": per_second,
            "served": served,
            "submitted": (load.accepted + load.refused) / elapsed,
            "refused": load.refused,
            "refusal": load.refusal(0.5),
            "slow_refusal": load.refusal(0.99),
            "slowest_refusal": load.refusal(1),
            "overtaken": load.overtaken,
            "peak": (peak - idle) / MEGABYTE,
            "later": (grown - halfway) / MEGABYTE,
            "latency": latency,
            "latency_after": latency_after,
            "latency_of_new": latency_of_new,
        }


# ------------------------------------------------------------ what starts these processes


def report(threads: int, seconds: float) -> None:
    figures = in_a_process_of_its_own(
        "overload", str(threads), str(seconds), timeout=2 * seconds + 60
    )
    print(f"\nuvloop, threads={threads}, max_queue={MAX_QUEUE}, {seconds:g} s of overload")
    print(f"  tasks per second before: {figures['capacity']:9,.0f}")
    print(f"  submitted per second:    {figures['submitted']:9,.0f}")
    print(f"  served per second:       {figures['served']:9,.0f}")
    require(
        "times the time per task before", figures["capacity"] / figures["served"], MAX_TIMES_COST
    )
    require("MB at the peak beyond an idle pool", figures["peak"], MAX_MEGABYTES)
    require("MB more in the second half", figures["later"], MAX_MEGABYTES_LATER)
    print(
        f"  refused: {figures['refused']:,.0f}, in {figures['refusal']:.1f} µs each (median), "
        f"{figures['slowest_refusal']:.0f} µs at most"
    )
    require("µs of a refusal, of 99 in 100", figures["slow_refusal"], MAX_REFUSAL)
    if threads == 1:
        require("tasks that were overtaken", figures["overtaken"], 0)
    else:
        # They begin in order. Which one ends first is a matter of the machine.
        print(f"  ended before an older one that ran beside it: {figures['overtaken']:,.0f}")
    print(f"  µs of a task in an idle pool: {figures['latency']:.1f} before, ", end="")
    print(f"{figures['latency_after']:.1f} after, {figures['latency_of_new']:.1f} in a new pool")
    # Side by side: between before and after, the machine may have changed its mood.
    times = figures["latency_after"] / figures["latency_of_new"]
    require("times that of a new pool", times, MAX_TIMES_LATENCY)


def run() -> None:
    """Run this part."""
    for threads in THREADS:
        report(threads, duration(SECONDS))


if __name__ == "__main__":
    threads, seconds = sys.argv[1:]
    print(json.dumps(LOOPS["uvloop"](overload(int(threads), float(seconds)))))
