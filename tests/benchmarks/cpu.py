"""
CPU: the same LuaJIT function on one thread and on two.

A loop that calculates, compiled by LuaJIT, in pieces of some milliseconds. Processes run the same
Lua, and Python's own loop is compared by what one turn costs. The gap is the longest time that the
event loop stood still meanwhile, seen by a timer that ticks every millisecond.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from multiprocessing import get_context
from time import perf_counter
from typing import Any

from threadpool_lua import ThreadPool

from ._bench import Bench
from ._lua import PACKAGE_PATH, in_lua
from ._measure import largest_gap
from ._peers import interpreter_executor
from ._results import Figures

ON = ("uvloop",)
WORKERS = (1, 2)
PIECES = 8
OURS, PROCESSES = "a pool", "processes"
COST, GAP = "ns per turn of the loop", "largest gap, ms"

# What is required, where processes reach the latter.
MIN_SPEED_UP, OF_PROCESSES = 1.8, 1.9

Spin = Callable[[int], Awaitable[Any]]


def spin_in_python(turns: int) -> int:
    n = 0
    for i in range(1, turns + 1):
        n += i % 3
    return n


@asynccontextmanager
async def a_pool(threads: int) -> AsyncIterator[Spin]:
    async with ThreadPool("cpu", threads=threads, package_path=PACKAGE_PATH) as pool:
        yield partial(pool.call, "work", "spin")


@asynccontextmanager
async def in_executor(
    make: Callable[[int], Executor], function: Callable[..., Any], workers: int
) -> AsyncIterator[Spin]:
    with make(workers) as executor:
        yield partial(asyncio.get_running_loop().run_in_executor, executor, function)


def processes(workers: int) -> Executor:
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


Contender = Callable[[int], AbstractAsyncContextManager[Spin]]
IN_LUA: dict[str, Contender] = {
    OURS: a_pool,
    PROCESSES: partial(in_executor, processes, partial(in_lua, "spin")),
}
IN_PYTHON: dict[str, Contender] = {
    "Python in threads": partial(in_executor, ThreadPoolExecutor, spin_in_python),
    "Python in interpreters": partial(in_executor, interpreter_executor, spin_in_python),
}


async def one_and_two(bench: Bench) -> None:
    """One thread and two."""
    turns = bench.pick(full=20_000_000, fast=10_000_000, tiny=1000)

    async def measure(contender: Contender, turns: int, workers: int) -> Figures:
        elapsed = 0.0

        async def work() -> None:
            nonlocal elapsed
            start = perf_counter()
            await asyncio.gather(*(spin(turns) for _ in range(PIECES)))
            elapsed = perf_counter() - start

        async with contender(workers) as spin:
            # Threads and processes have started, and LuaJIT has compiled.
            await asyncio.gather(*(spin(turns // 10) for _ in range(PIECES)))
            gap = await largest_gap(work)
        return {COST: elapsed / PIECES / turns * 1e9, GAP: gap}

    found = await bench.grow(
        {name: partial(measure, contender, turns) for name, contender in IN_LUA.items()}
        | {name: partial(measure, it, turns // 100) for name, it in IN_PYTHON.items()},
        WORKERS,
        axis="threads or processes",
        ours=OURS,
    )
    speed_up = {name: found.median(COST, name, 1) / found.median(COST, name, 2) for name in IN_LUA}
    bench.require(
        f"{OURS}: speed-up by a second thread, where processes reach {speed_up[PROCESSES]:.2f}",
        speed_up[OURS],
        at_least=MIN_SPEED_UP * min(1, speed_up[PROCESSES] / OF_PROCESSES),
    )


SECTIONS = (one_and_two,)
