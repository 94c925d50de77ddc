"""
Soak: tasks of all kinds for a long time, in a pool with limits.

50 clients have one pool do one thing after the other: values of all sizes, pauses, streams, errors,
cancellations, endless loops, and what eats all memory. Shown is how memory grows, and what is left.
Each measurement has a process of its own.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

from threadpool_lua import (
    Chunk,
    LuaError,
    LuaMemoryLimitError,
    LuaSyntaxError,
    LuaTimeLimitError,
    MarshalError,
    StateLostError,
    ThreadPool,
)

from ._bench import LOOPS, Bench
from ._measure import MEGABYTE, memory
from ._results import Figures

ON = ("uvloop",)
LUA = ("luajit21", "lua54")
THREADS = 2
STATES = 3
CLIENTS = 50  # that have the pool do one thing after the other
TIME_LIMIT = 0.25  # seconds; much more than any task needs that is not endless
MEMORY_LIMIT = 8 * 2**20
TASKS_PER_STATE = 5000
SAMPLE_EVERY = 0.05  # seconds
SECONDS_TO_REST = 10

GROWN = "MB more in the last quarter than in the third"
MOST_STATES, STATES_LEFT = "states at most", "states left"
LEFT, NOT_COUNTED = "tasks and coroutines left", "tasks that were not counted"

ERRORS = ("StateLostError", "LuaTimeLimitError")

# What is required: at most so much.
LIMITS = {
    GROWN: 2,  # of some 40; what is live at a moment differs by as much
    # Those that have run all their tasks stay until the last of these has ended.
    MOST_STATES: 3 * STATES,
    STATES_LEFT: 3 * STATES,
    LEFT: 0,
    NOT_COUNTED: 0,
}

ROWS = [{"id": i, "name": f"name {i}", "score": i + 0.5, "tags": ["a", None]} for i in range(20)]
SPIN = Chunk("while true do end", name="spin")
EAT = Chunk("local all = {} for i = 1, 1e9 do all[i] = ('x'):rep(1e4) .. i end", name="eat")
SPIN_CAUGHT = Chunk("while true do pcall(function() while true do end end) end", name="caught")
COUNT = Chunk("for i = 1, 20 do coroutine.yield(i) end return 'ended'", name="count")
RESUMED = Chunk("local n = ... while true do n = coroutine.yield(n + 1) end", name="resumed")

Kind = Callable[["Soak"], Awaitable[None]]


# ------------------------------------------------- what runs in a process of its own


def plain(value: object) -> object:
    return value


async def awaited(value: object) -> object:
    await asyncio.sleep(0.001)
    return value


def fails() -> None:
    raise KeyError("host function")


FUNCTIONS: dict[str, Callable[..., Any]] = {"plain": plain, "awaited": awaited, "fails": fails}


class Soak:
    """What clients have one pool do."""

    def __init__(self, pool: ThreadPool, chance: random.Random) -> None:
        self.pool = pool
        self.chance = chance
        self.done: Counter[str] = Counter()

    async def fails_by(self, error: type[Exception], task: Awaitable[object]) -> None:
        try:
            await task
        except error:
            return
        raise AssertionError(f"no {error.__name__}")

    async def values(self) -> None:
        assert await self.pool.submit("return ...", ROWS) == ROWS
        assert await self.pool.submit("return ('x'):rep(...)", 100_000) == "x" * 100_000

    async def globals(self) -> None:
        chunk = "kept = (kept or 0) + 1 string.mine = kept return kept + string.mine"
        assert await self.pool.submit(chunk) == 2

    async def many_chunks(self) -> None:
        """Use up what a state keeps of compiled chunks soon: until then memory does grow."""
        numbers = [self.chance.randrange(10**9) for _ in range(20)]
        chunks = [f"return {number}" for number in numbers]
        assert await asyncio.gather(*map(self.pool.submit, chunks)) == numbers

    async def host_functions(self) -> None:
        chunk = "local n = 0 for i = 1, 10 do n = n + host.{}(i) end return n"
        for name in "plain", "awaited":
            assert await self.pool.submit(chunk.format(name)) == 55
        assert await self.pool.submit("return (pcall(host.fails))") is False

    async def yields(self) -> None:
        for on_yield in None, plain, awaited:
            assert await self.pool.submit(COUNT, on_yield=on_yield) == "ended"

    async def inner_coroutines(self) -> None:
        chunk = """
            local n = 0
            for i in coroutine.wrap(function()
              for i = 1, 3 do coroutine.yield(host.awaited(i)) end
            end) do n = n + i end
            return n
        """
        assert await self.pool.submit(chunk) == 6

    async def streams(self) -> None:
        last = self.chance.randrange(1, 25)
        rows = []
        async for row in self.pool.stream(COUNT, prefetch=self.chance.choice([0, 10])):
            rows.append(row)
            if row == last:
                break
        assert rows == list(range(1, min(last, 20) + 1))

    async def coroutines(self) -> None:
        async with self.pool.create(RESUMED) as coroutine:
            for i in range(self.chance.randrange(5)):
                assert await coroutine.resume(i) == i + 1

    async def dropped(self) -> None:
        """Leave a stream and a coroutine to be found by the garbage collector."""
        assert await anext(self.pool.stream(COUNT)) == 1
        assert await self.pool.create(RESUMED).resume(1) == 2

    async def maps(self) -> None:
        chunk = "local i = ... if i % 50 == 0 then host.awaited(i) end return i + 1"
        async for result in self.pool.map(chunk, range(200)):
            if result == 150 and self.chance.random() < 0.5:
                break

    async def errors(self) -> None:
        submit = self.pool.submit
        await self.fails_by(LuaError, submit("error({code = 404})"))
        await self.fails_by(LuaError, submit("local t = nil return t.field"))
        await self.fails_by(LuaSyntaxError, submit("return ("))
        await self.fails_by(MarshalError, submit("return print"))
        await self.fails_by(MarshalError, submit("return ...", object()))
        await self.fails_by(KeyError, submit("host.fails()"))

    async def cancellations(self) -> None:
        for chunk in "return 1", COUNT, "host.awaited(1) host.awaited(2)", SPIN_CAUGHT:
            task = self.pool.submit(chunk)
            await asyncio.sleep(self.chance.choice([0, 0.001, 0.003]))
            task.cancel()
            await asyncio.wait([task])

    async def long(self) -> None:
        chunk = self.chance.choice([SPIN, SPIN_CAUGHT])
        await self.fails_by(LuaTimeLimitError, self.pool.submit(chunk))

    async def large(self) -> None:
        await self.fails_by(LuaMemoryLimitError, self.pool.submit(EAT))

    async def client(self, end: float) -> None:
        while perf_counter() < end:
            (kind,) = self.chance.choices(list(KINDS), list(KINDS.values()))
            try:
                await kind(self)
                self.done[kind.__name__] += 1
            except (StateLostError, LuaTimeLimitError) as error:
                # It had paused where another task used too much, or the machine is busy.
                self.done[type(error).__name__] += 1


# How often there is each.
KINDS: dict[Kind, int] = {
    Soak.values: 20,
    Soak.globals: 20,
    Soak.many_chunks: 20,
    Soak.host_functions: 20,
    Soak.yields: 20,
    Soak.inner_coroutines: 20,
    Soak.streams: 20,
    Soak.coroutines: 20,
    Soak.dropped: 10,
    Soak.maps: 20,
    Soak.errors: 20,
    Soak.cancellations: 10,
    Soak.long: 1,
    Soak.large: 4,
}


async def rest(pool: ThreadPool) -> int:
    """Wait until nothing is left, or for too long; return how much is."""
    end = perf_counter() + SECONDS_TO_REST
    while True:
        gc.collect()
        now = pool.statistics()
        left = now.in_flight + now.busy + now.paused + now.coroutines
        if not left or perf_counter() > end:
            return left
        await asyncio.sleep(SAMPLE_EVERY)


async def soak(lua: str, seconds: float) -> Figures:
    noise: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
    async with ThreadPool(
        "soak",
        lua=lua,
        threads=THREADS,
        states=STATES,
        functions=FUNCTIONS,
        time_limit=TIME_LIMIT,
        memory_limit=MEMORY_LIMIT,
        max_tasks_per_state=TASKS_PER_STATE,
    ) as pool:
        soak = Soak(pool, random.Random(lua))
        end = perf_counter() + seconds
        clients = asyncio.gather(*(soak.client(end) for _ in range(CLIENTS)))
        sizes: list[float] = []
        states: list[int] = []
        while not clients.done():
            await asyncio.sleep(SAMPLE_EVERY)
            sizes.append(memory("VmRSS"))
            states.append(pool.statistics().states)
        await clients
        left = await rest(pool)
        now = pool.statistics()
    assert not noise, noise
    quarters = [median(sizes[len(sizes) * i // 4 : len(sizes) * (i + 1) // 4]) for i in range(4)]
    ended = now.completed + now.failed + now.cancelled + now.abandoned
    return {
        "tasks": now.submitted,
        **{f"MB, quarter {i + 1}": size / MEGABYTE for i, size in enumerate(quarters)},
        GROWN: (quarters[3] - quarters[2]) / MEGABYTE,
        "MB at most": max(sizes) / MEGABYTE,
        "states made": now.states_made,
        MOST_STATES: max(states),
        STATES_LEFT: now.states,
        LEFT: left,
        NOT_COUNTED: abs(now.submitted - ended),
        "pieces of work": soak.done.total(),
        **{f"of which met {error}": soak.done[error] for error in ERRORS},
    }


def soaked(lua: str, seconds: float) -> Figures:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        figures: Figures = LOOPS["uvloop"](soak(lua, seconds))
    finally:
        logging.disable(before)
    return figures


# ------------------------------------------------------------ what starts these processes


async def all_kinds(bench: Bench) -> None:
    """
    Everything, for a time.

    A piece of work meets an error that it did not ask for when another has used up the memory of
    the state where it is paused, or when the machine is busy.
    """
    seconds = bench.duration(full=20, fast=2, tiny=0.4)
    found = await bench.compare(
        {lua: partial(bench.apart, soaked, lua, seconds) for lua in LUA},
        ours=LUA[0],
        rounds=1,
        warm=False,
        draw=False,
    )
    for lua in found.contenders:
        for figure, limit in LIMITS.items():
            bench.require(f"{lua}: {figure}", found.median(figure, lua), at_most=limit)


SECTIONS = (all_kinds,)
