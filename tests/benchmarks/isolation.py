"""What isolation and limits cost: a task, and code that computes, beside a pool without them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from time import perf_counter
from typing import Any

from threadpool_lua import ThreadPool

from ._measure import IN_FLIGHT, LOOPS, alternate, in_flight, one_after_the_other, show

THREADS = 1  # Of several there are at times one, at times all that serve: see _pace.py.
ROUNDS = 9
LUA = ("luajit21", "lua54")

TASK, STATE = 'isolation="task"', 'isolation="state"'
LIMITS: dict[str, dict[str, Any]] = {
    "time_limit": {"time_limit": 60},
    "memory_limit": {"memory_limit": 64 * 2**20},
    "interruptible": {"interruptible": True},
    "sandbox": {"sandbox": True},
}
OPTIONS: dict[str, dict[str, Any]] = {
    TASK: {},
    'isolation="none"': {"isolation": "none"},
    STATE: {"isolation": "state"},
    **LIMITS,
    "sandbox and time_limit": {"sandbox": True, "time_limit": 60},
}
# Of tasks that have a state to themselves there are fewer, as each takes a hundred times as long.
COUNT, COUNT_OF_STATES = 400, 5

CHUNKS = {
    "a tiny task": "local a, b = ... return a + b",
    "a task that uses libraries": """
        local a, b = ...
        return string.format('%d: %s', math.max(a, b), table.concat({a, b}, ','))
    """,
}
COMPUTATIONS = {
    "a loop that calculates": "local n = 0 for i = 1, 2e6 do n = n + i % 3 end return n",
    "a sieve in a table": """
        local composite, count = {}, 0
        for i = 2, 500000 do
          if not composite[i] then
            count = count + 1
            for j = i * i, 500000, i do composite[j] = true end
          end
        end
        return count
    """,
    "words of a text": """
        local counts = {}
        for word in ('the quick brown fox jumps over the lazy dog '):rep(10000):gmatch('%a+') do
          counts[word] = (counts[word] or 0) + 1
        end
        return counts.the
    """,
}


async def compare_tasks(lua: str) -> None:
    async with AsyncExitStack() as stack:
        pools = {
            name: await stack.enter_async_context(
                ThreadPool(name, threads=THREADS, lua=lua, **options)
            )
            for name, options in OPTIONS.items()
        }
        for title, chunk in CHUNKS.items():

            async def work(pool: ThreadPool, count: int, chunk: str = chunk) -> None:
                await one_after_the_other(lambda: pool.submit(chunk, 20, 22), count)

            peers: dict[str, Callable[[], Awaitable[float]]] = {}
            for name, pool in pools.items():
                count = COUNT_OF_STATES if name == STATE else COUNT
                peers[name] = partial(in_flight, partial(work, pool), count)
            rows = await alternate(peers, ROUNDS)
            show(f"{lua}, {THREADS} thread, {IN_FLIGHT} in flight, {title}", "µs", rows, TASK)


async def compare_computations() -> None:
    without = f"{LUA[0]}, without limits"
    async with AsyncExitStack() as stack:
        pools = {
            f"{lua}, {name}": await stack.enter_async_context(
                ThreadPool(name, threads=1, lua=lua, **options)
            )
            for lua in LUA
            for name, options in {"without limits": {}, **LIMITS}.items()
        }
        for title, chunk in COMPUTATIONS.items():

            async def work(pool: ThreadPool, chunk: str = chunk) -> float:
                start = perf_counter()
                await pool.submit(chunk)
                return (perf_counter() - start) * 1e3

            rows = await alternate(
                {name: partial(work, pool) for name, pool in pools.items()}, ROUNDS
            )
            show(f"one task, {title}", "ms", rows, without)


def run() -> None:
    """Run this part."""
    for lua in LUA:
        LOOPS["uvloop"](compare_tasks(lua))
    LOOPS["uvloop"](compare_computations())
