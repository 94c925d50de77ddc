"""How long the loop stands still while tasks compute and return large results."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import lupa.luajit21

from threadpool_lua import ThreadPool

from ._measure import LOOPS, TICK, alternate, largest_gap, show

THREADS = 2
ROUNDS = 7
SPIN = "local n = 0 for i = 1, 2e8 do n = n + i % 3 end return n"
TEN_MB = "return ('0123456789'):rep(1000000)"
BYTES = 10_000_000
ROWS = 100_000
MAKE_ROWS = """
    local rows = {}
    for i = 1, ... do rows[i] = {id = i, name = 'name ' .. i, score = i + 0.5} end
    return rows
"""

Work = Callable[[], Awaitable[Any]]


async def gap_of(work: Work) -> float:
    gaps: list[float] = []
    async with largest_gap(gaps):
        result = await work()
    del result  # Not before: to free a large one takes its time, too.
    return gaps[0]


async def measure(loop_name: str) -> None:
    runtime = lupa.luajit21.LuaRuntime()

    async def nothing() -> None:
        await asyncio.sleep(0.2)

    async def on_the_loop() -> None:
        for source in (SPIN, TEN_MB) * THREADS:
            runtime.execute(source)
            await asyncio.sleep(0)

    async with ThreadPool("lag", threads=THREADS) as pool:

        async def in_the_pool() -> None:
            for _ in range(3):
                results = await asyncio.gather(
                    *(pool.submit(SPIN) for _ in range(THREADS)),
                    *(pool.submit(TEN_MB) for _ in range(4)),
                )
                assert [len(text) for text in results[THREADS:]] == [BYTES] * 4

        async def kept_results() -> Any:
            return [await pool.submit(MAKE_ROWS, ROWS) for _ in range(3)]

        async def dropped_results() -> None:
            for _ in range(3):
                assert len(await pool.submit(MAKE_ROWS, ROWS)) == ROWS

        async def large_arguments() -> None:
            rows = await pool.submit(MAKE_ROWS, ROWS)
            for _ in range(3):
                assert await pool.submit("return #...", rows) == ROWS

        peers: dict[str, Work] = {
            "CPU-bound, and 10 MB results": in_the_pool,
            "100,000 rows returned": kept_results,
            "the same, freed by the loop": dropped_results,
            "100,000 rows passed": large_arguments,
            "the first, on the loop": on_the_loop,
            "an idle loop": nothing,
        }
        rows = await alternate(
            {name: partial(gap_of, work) for name, work in peers.items()}, ROUNDS
        )
        title = f"{loop_name}, {THREADS} threads, the longest gap between ticks"
        show(f"{title} of {TICK * 1000:.0f} ms", "ms", rows, "CPU-bound, and 10 MB results")


def run() -> None:
    """Run this part."""
    for name, run_loop in LOOPS.items():
        run_loop(measure(name))
