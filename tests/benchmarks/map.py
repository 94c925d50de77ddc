"""The cost of an item of `map`, beside tasks of its own for each, and a loop in Python."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from typing import Any

from threadpool_lua import ThreadPool

from ._measure import IN_FLIGHT, LOOPS, alternate, in_flight, one_after_the_other, require, show

THREADS = 4
ROUNDS = 9
ITEMS = 100_000
CHUNK = "return ... + 1"
MAX_COST = 1  # µs per item


def timed(work: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[float]]:
    async def measure() -> float:
        start = perf_counter()
        results = await work()
        elapsed = perf_counter() - start
        assert len(results) == ITEMS
        return elapsed / ITEMS * 1e6

    return measure


async def measure(loop_name: str) -> None:
    async with ThreadPool("bench", threads=THREADS, max_queue=ITEMS) as pool:

        async def mapped(ordered: bool) -> list[Any]:
            return [result async for result in pool.map(CHUNK, range(ITEMS), ordered=ordered)]

        async def gathered() -> list[Any]:
            return await asyncio.gather(*(pool.submit(CHUNK, i) for i in range(ITEMS)))

        async def in_python() -> list[Any]:
            return [i + 1 for i in range(ITEMS)]

        peers: dict[str, Callable[[], Awaitable[float]]] = {
            "map": timed(partial(mapped, True)),
            "map, ordered=False": timed(partial(mapped, False)),
            f"submit, {IN_FLIGHT} in flight": partial(
                in_flight,
                partial(one_after_the_other, lambda: pool.submit(CHUNK, 1)),
                ITEMS // IN_FLIGHT,
            ),
            "gather of submits": timed(gathered),
            "a loop in Python": timed(in_python),
        }
        rows = await alternate(peers, ROUNDS)
    show(f"{loop_name}, {THREADS} threads, {ITEMS:,} items", "µs per item", rows, "map")
    for name in "map", "map, ordered=False":
        require(f"{name}: µs per item", rows[name].median, MAX_COST)


def run() -> None:
    """Run this part."""
    for name, run_loop in LOOPS.items():
        run_loop(measure(name))
