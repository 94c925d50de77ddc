"""
Steps: what it costs to yield and be resumed, or to call Python, beside a whole task.

100 of each are in flight. Each has a pool to itself: how many threads serve one depends on what it
has done before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from threadpool_lua import ThreadPool

from ._bench import Bench
from ._measure import COST, for_at_least, in_flight, one_after_the_other
from ._results import Measure

ON = ("uvloop", "asyncio")
THREADS = 4
IN_FLIGHT = 100
OURS = "submit"
SUBMIT = "return ..."
YIELD = "for i = 1, ... do coroutine.yield(i) end"
RESUMED = "while true do coroutine.yield(...) end"
PLAIN = "for i = 1, ... do host.plain(i) end"
ASYNC = "for i = 1, ... do host.awaited(i) end"

# What is required of some: to cost no more than a submit.
AS_CHEAP_AS_A_SUBMIT = ("no on_yield", "on_yield", "Coroutine.resume")


def plain(i: int) -> int:
    return i


async def awaited(i: int) -> int:
    return i


async def resume(pool: ThreadPool, count: int) -> None:
    async with pool.create(RESUMED) as coroutine:
        await one_after_the_other(lambda: coroutine.resume(1), count)


async def stream(prefetch: int, pool: ThreadPool, count: int) -> None:
    async for _ in pool.stream(YIELD, count, prefetch=prefetch):
        pass


async def submit(pool: ThreadPool, count: int) -> None:
    await one_after_the_other(lambda: pool.submit(SUBMIT, 1), count)


Work = Callable[[ThreadPool, int], Awaitable[Any]]
WORKS: dict[str, Work] = {
    OURS: submit,
    "on_yield": lambda pool, count: pool.submit(YIELD, count, on_yield=plain),
    "async on_yield": lambda pool, count: pool.submit(YIELD, count, on_yield=awaited),
    "no on_yield": lambda pool, count: pool.submit(YIELD, count),
    "Coroutine.resume": resume,
    "stream, prefetch=0": partial(stream, 0),
    "stream, prefetch=100": partial(stream, 100),
}
WORKS_WITH_FUNCTIONS: dict[str, Work] = {
    "host function": lambda pool, count: pool.submit(PLAIN, count),
    "async host function": lambda pool, count: pool.submit(ASYNC, count),
    "submit, with functions": submit,
}
FUNCTIONS = {"plain": plain, "awaited": awaited}


async def steps(bench: Bench) -> None:
    """
    A pause beside a task.

    What is shown is the cost of a pause; of those called submit, that of a task.
    """
    seconds = bench.pick(full=0.15, fast=0.05, tiny=0.0)
    measures: dict[str, Measure] = {}
    async with AsyncExitStack() as stack:
        for works, functions in (WORKS, None), (WORKS_WITH_FUNCTIONS, FUNCTIONS):
            for name, work in works.items():
                pool = await stack.enter_async_context(
                    ThreadPool(name, threads=THREADS, functions=functions)
                )
                drive = partial(in_flight, partial(work, pool), IN_FLIGHT)
                measures[name] = for_at_least(seconds, drive)
        found = await bench.compare(measures, ours=OURS)
    for name in AS_CHEAP_AS_A_SUBMIT:
        times = found.median(COST, name) / found.median(COST, OURS)
        bench.require(f"{name}: times a submit", times, at_most=1)


SECTIONS = (steps,)
