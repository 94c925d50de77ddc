"""
Isolation: what it costs to keep tasks apart, and to limit them.

A pool with each option, beside one without.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from time import perf_counter
from typing import Any

from threadpool_lua import ThreadPool

from ._bench import Bench
from ._measure import for_at_least, in_flight, one_after_the_other
from ._results import Figures

ON = ("uvloop",)
THREADS = 1  # Of several there are at times one, at times all that serve: see _pace.py.
IN_FLIGHT = 100
LUA = ("luajit21", "lua54")

TASK, WITHOUT = 'isolation="task"', f"{LUA[0]}, without limits"
LIMITS: dict[str, dict[str, Any]] = {
    "time_limit": {"time_limit": 60},
    "memory_limit": {"memory_limit": 64 * 2**20},
    "interruptible": {"interruptible": True},
    "sandbox": {"sandbox": True},
}
OPTIONS: dict[str, dict[str, Any]] = {
    TASK: {},
    'isolation="none"': {"isolation": "none"},
    'isolation="state"': {"isolation": "state"},
    **LIMITS,
    "sandbox and time_limit": {"sandbox": True, "time_limit": 60},
}
CHUNKS = {
    "a tiny task": "local a, b = ... return a + b",
    "a task that uses libraries": """
        local a, b = ...
        return string.format('%d: %s', math.max(a, b), table.concat({a, b}, ','))
    """,
}
COMPUTATIONS = {
    "a loop that calculates": "local n = 0 for i = 1, ... do n = n + i % 3 end return n",
    "a sieve in a table": """
        local composite, count, most = {}, 0, ... / 4
        for i = 2, most do
          if not composite[i] then
            count = count + 1
            for j = i * i, most, i do composite[j] = true end
          end
        end
        return count
    """,
    "words of a text": """
        local counts = {}
        for word in ('the quick brown fox jumps over the lazy dog '):rep(... / 200):gmatch('%a+') do
          counts[word] = (counts[word] or 0) + 1
        end
        return counts.the
    """,
}


async def tasks(bench: Bench) -> None:
    """
    What a task costs.

    100 are in flight, on one thread.
    """
    seconds = bench.pick(full=0.05, fast=0.02, tiny=0.0)
    for lua in LUA:
        async with AsyncExitStack() as stack:
            pools = {
                name: await stack.enter_async_context(
                    ThreadPool(name, threads=THREADS, lua=lua, **options)
                )
                for name, options in OPTIONS.items()
            }
            for title, chunk in CHUNKS.items():

                async def work(pool: ThreadPool, chunk: str, count: int) -> None:
                    await one_after_the_other(lambda: pool.submit(chunk, 20, 22), count)

                await bench.compare(
                    {
                        name: for_at_least(
                            seconds, partial(in_flight, partial(work, pool, chunk), IN_FLIGHT)
                        )
                        for name, pool in pools.items()
                    },
                    ours=TASK,
                    title=f"{title}, {lua}",
                )


async def computations(bench: Bench) -> None:
    """
    What code that computes costs.

    LuaJIT's compiler does not work in a pool that can stop its tasks.
    """
    size = bench.pick(full=2_000_000, fast=500_000, tiny=1000)
    async with AsyncExitStack() as stack:
        pools = {
            f"{lua}, {name}": await stack.enter_async_context(
                ThreadPool(name, threads=THREADS, lua=lua, **options)
            )
            for lua in LUA
            for name, options in {"without limits": {}, **LIMITS}.items()
        }
        for title, chunk in COMPUTATIONS.items():

            async def work(pool: ThreadPool, chunk: str) -> Figures:
                start = perf_counter()
                await pool.submit(chunk, size)
                return {"ms": (perf_counter() - start) * 1e3}

            await bench.compare(
                {name: partial(work, pool, chunk) for name, pool in pools.items()},
                ours=WITHOUT,
                title=title,
            )


SECTIONS = (tasks, computations)
