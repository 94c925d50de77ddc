"""
Loop lag: how long the loop stands still while tasks compute and return large results.

A timer ticks every millisecond; what is shown is the longest time between two ticks.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import lupa.luajit21

from threadpool_lua import ThreadPool

from ._bench import Bench
from ._measure import Submit, largest_gap
from ._results import Figures

ON = ("uvloop", "asyncio")
THREADS = 2
OURS = "CPU-bound, and 10 MB results"
SPIN = "local n = 0 for i = 1, {} do n = n + i % 3 end return n"
TEN_MB = "return ('0123456789'):rep(1000000)"
BYTES = 10_000_000
MAKE_ROWS = """
    local rows = {}
    for i = 1, ... do rows[i] = {id = i, name = 'name ' .. i, score = i + 0.5} end
    return rows
"""


async def gap_of(work: Submit) -> Figures:
    return {"largest gap, ms": await largest_gap(work)}


async def gaps(bench: Bench) -> None:
    """
    The longest gap.

    Rows are lists of dicts; the first work of all is done on the loop, too, to compare.
    """
    times = bench.pick(full=2, fast=1, tiny=1)
    spin = SPIN.format(bench.pick(full=50_000_000, fast=20_000_000, tiny=1000))
    row_count = bench.pick(full=100_000, fast=100_000, tiny=10)
    runtime = lupa.luajit21.LuaRuntime()

    async def nothing() -> None:
        await asyncio.sleep(bench.pick(full=0.2, fast=0.2, tiny=0.0))

    async def on_the_loop() -> None:
        for source in (spin, TEN_MB) * THREADS:
            runtime.execute(source)
            await asyncio.sleep(0)

    async with ThreadPool("lag", threads=THREADS) as pool:

        async def in_the_pool() -> None:
            for _ in range(times):
                results = await asyncio.gather(
                    *(pool.submit(spin) for _ in range(THREADS)),
                    *(pool.submit(TEN_MB) for _ in range(4)),
                )
                assert [len(text) for text in results[THREADS:]] == [BYTES] * 4

        async def kept_results() -> Any:
            return [await pool.submit(MAKE_ROWS, row_count) for _ in range(times)]

        async def dropped_results() -> None:
            for _ in range(times):
                assert len(await pool.submit(MAKE_ROWS, row_count)) == row_count

        async def large_arguments() -> None:
            rows = await pool.submit(MAKE_ROWS, row_count)
            for _ in range(times):
                assert await pool.submit("return #...", rows) == row_count

        works: dict[str, Submit] = {
            OURS: in_the_pool,
            f"{row_count:,} rows returned": kept_results,
            "the same, freed by the loop": dropped_results,
            f"{row_count:,} rows passed": large_arguments,
            "the first, on the loop": on_the_loop,
            "an idle loop": nothing,
        }
        await bench.compare(
            {name: partial(gap_of, work) for name, work in works.items()}, ours=OURS
        )


SECTIONS = (gaps,)
