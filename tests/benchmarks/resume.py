"""The cost of a pause: to yield and be resumed, or to call Python, beside a whole task."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from threadpool_lua import ThreadPool

from ._measure import IN_FLIGHT, LOOPS, alternate, in_flight, one_after_the_other, require, show

THREADS = 4
ROUNDS = 9
SUBMIT = "return ..."
YIELD = "for i = 1, ... do coroutine.yield(i) end"
RESUMED = "while true do coroutine.yield(...) end"
PLAIN = "for i = 1, ... do host.plain(i) end"
ASYNC = "for i = 1, ... do host.awaited(i) end"


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


WORKS: dict[str, Callable[[ThreadPool, int], Awaitable[Any]]] = {
    "submit": submit,
    "on_yield": lambda pool, count: pool.submit(YIELD, count, on_yield=plain),
    "async on_yield": lambda pool, count: pool.submit(YIELD, count, on_yield=awaited),
    "no on_yield": lambda pool, count: pool.submit(YIELD, count),
    "Coroutine.resume": resume,
    "stream, prefetch=0": partial(stream, 0),
    "stream, prefetch=100": partial(stream, 100),
}
WORKS_WITH_FUNCTIONS: dict[str, Callable[[ThreadPool, int], Awaitable[Any]]] = {
    "host function": lambda pool, count: pool.submit(PLAIN, count),
    "async host function": lambda pool, count: pool.submit(ASYNC, count),
    "submit, with functions": submit,
}
FUNCTIONS = {"plain": plain, "awaited": awaited}


async def measure(loop_name: str) -> None:
    peers: dict[str, Callable[[], Awaitable[float]]] = {}
    async with AsyncExitStack() as stack:
        # Each has a pool to itself: how many threads serve one depends on what it has done before.
        for works, functions in (WORKS, None), (WORKS_WITH_FUNCTIONS, FUNCTIONS):
            for name, work in works.items():
                pool = await stack.enter_async_context(
                    ThreadPool(name, threads=THREADS, functions=functions)
                )
                peers[name] = partial(in_flight, partial(work, pool))
        rows = await alternate(peers, ROUNDS)
    title = f"{loop_name}, {THREADS} threads, {IN_FLIGHT} in flight"
    show(title, "µs per submit, or per pause", rows, "submit")
    for name in "no on_yield", "on_yield", "Coroutine.resume":
        require(f"{name}: times a submit", rows[name].median / rows["submit"].median, 1)


def run() -> None:
    """Run this part."""
    for name, run_loop in LOOPS.items():
        run_loop(measure(name))
