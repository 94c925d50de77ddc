"""
Dispatch: what it costs to have a thread do next to nothing.

A task adds two numbers, so that all else is the way to the thread and back. The same Lua runs in
every contender that has Lua: in Python's executors a function of a Lua state that belongs to the
thread, in nginx one of a module. `ProcessPoolExecutor` runs Lua in processes;
`InterpreterPoolExecutor`, where there is one, adds in Python, and piscina in JavaScript.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ._bench import Bench
from ._measure import COST, for_at_least
from ._peers import MAP, MAPS, NGINX, OURS, PEERS, Peer
from ._results import Comparison

ON = ("uvloop", "asyncio")
THREADS = 4
IN_FLIGHT = 100

# What is required.
MAX_TIMES_NGINX = 2.0  # of a submit; an item of map is to be cheaper


async def many_in_flight(bench: Bench) -> None:
    """
    A hundred tasks in flight.

    Each of 100 coroutines, in nginx of 100 light threads, awaits one task after the other. `map` is
    shown with 100 items in flight, and with as many as it takes when nothing else is said. nginx's
    threads contend for the lock of their queue, and it is the quickest with one, so that is shown
    as well; what is required is about as many threads as the others have.
    """
    found = await _compare(bench, {**PEERS, **MAPS}, IN_FLIGHT)
    if found.row(NGINX):
        nginx = found.median(COST, NGINX)
        bench.require(
            f"{OURS}: times nginx's call",
            found.median(COST, OURS) / nginx,
            at_most=MAX_TIMES_NGINX,
        )
        bench.require(f"{MAP}: times nginx's call", found.median(COST, MAP) / nginx, at_most=1)


async def one_in_flight(bench: Bench) -> None:
    """
    One task after the other.

    Nothing hides the way there and back: a thread is woken, and then the loop.
    """
    await _compare(bench, PEERS, 1)


async def _compare(bench: Bench, peers: Mapping[str, Peer], in_flight: int) -> Comparison:
    seconds = bench.pick(full=0.1, fast=0.03, tiny=0.0)
    threads = bench.pick(full=THREADS, fast=THREADS, tiny=1)
    contenders = {name: partial(peer, threads) for name, peer in peers.items()}
    contenders |= {f"{name}, 1 thread": partial(PEERS[name], 1) for name in (OURS, NGINX)}
    async with bench.open(contenders) as drives:
        return await bench.compare(
            {
                name: for_at_least(seconds, partial(drive, in_flight))
                for name, drive in drives.items()
            },
            ours=OURS,
        )


SECTIONS = (many_in_flight, one_in_flight)
