"""
A server that blocks: nginx's own case for thread pools.

A server answers quick requests at once, and does 50 ms of blocking work, a call of C that sleeps,
for others. `wrk` asks for both at the same time: 40 clients for the work, one request after the
other, and 20 for what is quick, who pause for 5 ms before each. All servers do the work by the same
Lua, in the loop's own thread or in a pool of so many.
"""

from __future__ import annotations

from ._bench import Bench
from ._sites import LOOP, OURS, QUICK_P99, WORK_RATE, compare

ON = ("uvloop",)

# What is required.
MIN_TIMES_WORK = 25
MAX_TIMES_QUICK = 0.1


async def blocking_work(bench: Bench) -> None:
    """
    Quick requests and blocking ones.

    More cannot be done in a second than 20 for each thread. While the loop is blocked, quick
    requests wait for as many of the others as have come before them.
    """
    milliseconds = bench.pick(full="50", fast="50", tiny="1")
    seconds = bench.pick(full=4, fast=3, tiny=1)
    found = await compare(bench, "block", [milliseconds], seconds)
    if found.row(LOOP) and found.row(OURS):
        bench.require(
            f"{OURS}: times the blocking requests of the loop alone",
            found.median(WORK_RATE, OURS) / found.median(WORK_RATE, LOOP),
            at_least=MIN_TIMES_WORK,
        )
        bench.require(
            f"{OURS}: times the 99th percentile of the loop's quick requests",
            found.median(QUICK_P99, OURS) / found.median(QUICK_P99, LOOP),
            at_most=MAX_TIMES_QUICK,
        )


SECTIONS = (blocking_work,)
