"""
Everything at once, at random: tasks that yield, call host functions, fail and are cancelled.

A program of its own, so that it runs under ``PYTHONDEVMODE=1``, and with threads that change at
every opportunity: ``python -m tests.chaos LUA LOOP SEED``. It prints "all ended" if each future has
ended, the pool has nothing left, and no coroutine is left in any state.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import uvloop

from threadpool_lua import Coroutine, CoroutineError, LuaError, PoolClosedError, ThreadPool

ROUNDS = 6
TASKS = 400  # in each round


Kind = Callable[[], Awaitable[None]]


class Chaos:
    """What the tasks of one pool do."""

    def __init__(self, pool: ThreadPool, chance: random.Random) -> None:
        self.pool = pool
        self.chance = chance
        self.outcomes: Counter[str] = Counter()
        # How many tasks there are is known in full only where all of them are of the first two.
        self.kinds = [self.submits, self.submits, self.submits, self.resumes]
        if chance.random() < 0.7:
            self.kinds += [self.streams, self.maps]
        self.least = self.most = 0  # tasks that the pool has to have counted
        pool.function(self.plain)
        pool.function(self.slow)
        pool.function(self.fails)
        pool.function(self.fails_slowly)

    def plain(self, value: object) -> object:
        return value

    async def slow(self, turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    def fails(self) -> None:
        raise KeyError("plain")

    async def fails_slowly(self) -> None:
        await asyncio.sleep(0.001)
        raise KeyError("slow")

    async def on_yield(self, value: int) -> int:
        await asyncio.sleep(self.chance.choice([0, 0.001]))
        if self.chance.random() < 0.05:
            raise ZeroDivisionError("on_yield")
        return value

    async def submits(self) -> None:
        chunk = self.chance.choice(
            [
                "for i = 1, 5 do assert(host.slow(i) == i) end return 'ok'",
                "for i = 1, 5 do coroutine.yield(i) end return 'ok'",
                "for i = 1, 5 do assert(host.plain(i) == i) end return 'ok'",
                "assert(not pcall(host.fails)) assert(not pcall(host.fails_slowly)) return 'ok'",
                "host.slow(2) host.fails_slowly()",
                "coroutine.yield(1) error({})",
                """
                local sum = 0
                for v in coroutine.wrap(function()
                  for i = 1, 3 do coroutine.yield(host.slow(i)) end
                end) do sum = sum + v end
                assert(sum == 6)
                return 'ok'
                """,
            ]
        )
        on_yield = self.chance.choice([None, self.on_yield, lambda value: value])
        future = self.pool.submit(chunk, on_yield=on_yield)
        self.least += 1
        self.most += 1
        assert await future == "ok"

    async def resumes(self) -> None:
        chunk = "local n = ... while true do host.slow(1) n = coroutine.yield(n + 1) end"
        coroutine: Coroutine = self.pool.create(chunk)
        for i in range(self.chance.randrange(5)):
            step = coroutine.resume(i)
            self.least += 1
            self.most += 1
            assert await step == i + 1
        if self.chance.random() < 0.3:
            coroutine.close()
            try:
                await coroutine.resume(1)
            except CoroutineError:
                return
            raise AssertionError("a closed coroutine was resumed")

    async def streams(self) -> None:
        stop = self.chance.randrange(30)
        prefetch = self.chance.choice([0, 1, 10])
        expected = 1
        chunk = "for i = 1, 20 do host.slow(i % 2) coroutine.yield(i) end"
        self.most += 21  # Those that yield a row each, and the last.
        async for row in self.pool.stream(chunk, prefetch=prefetch):
            assert row == expected
            expected += 1
            self.least += 1
            if row == stop:
                return
        assert expected == 21

    async def maps(self) -> None:
        async def items() -> AsyncIterator[int]:
            for i in range(30):
                if self.chance.random() < 0.1:
                    await asyncio.sleep(0)
                yield i

        def counted(result: int) -> int:
            self.least += 1
            return result

        chunk = self.chance.choice(
            ["return ...", "local i = ... if i % 7 == 0 then host.slow(1) end return i"]
        )
        source = self.chance.choice([items(), range(30)])
        ordered = self.chance.random() < 0.5
        self.most += 30
        results = [
            counted(result)
            async for result in self.pool.map(chunk, source, ordered=ordered, in_flight=10)
        ]
        assert (results if ordered else sorted(results)) == list(range(30))

    async def one(self) -> None:
        kind: Kind = self.chance.choice(self.kinds)
        try:
            await kind()
            self.outcomes["ended"] += 1
        except (KeyError, LuaError, ZeroDivisionError, PoolClosedError) as error:
            self.outcomes[type(error).__name__] += 1

    def check_counts(self) -> None:
        """Check what the pool tells of the tasks, once it is at rest."""
        now = self.pool.statistics()
        assert now.waiting == now.running == now.paused == 0, now
        ends = now.completed, now.failed, now.cancelled, now.abandoned
        assert min(ends) >= 0, now
        assert now.submitted == sum(ends), now
        assert self.least <= now.submitted <= self.most, (self.least, now, self.most)

    async def run(self) -> None:
        tasks = [asyncio.ensure_future(self.one()) for _ in range(TASKS)]
        victims = self.chance.sample(tasks, TASKS // 4)
        for victim in victims:
            for _ in range(self.chance.randrange(3)):
                await asyncio.sleep(0)
            victim.cancel()
        outcomes: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, asyncio.CancelledError):
                self.outcomes["cancelled"] += 1
            elif outcome is not None:
                raise outcome


async def main(lua: str, seed: int) -> None:
    chance = random.Random(seed)
    noise: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: noise.append(context))
    loop.set_debug(False)  # It would show the stack of each of the many callbacks.
    outcomes: Counter[str] = Counter()
    async with asyncio.timeout(90):
        for round_ in range(ROUNDS):
            threads = chance.choice([1, 2, 4])
            pool = ThreadPool("chaos", threads=threads, states=chance.choice([1, 4]), lua=lua)
            await pool.open()
            chaos = Chaos(pool, chance)
            await chaos.run()
            outcomes += chaos.outcomes
            gc.collect()
            while True:
                # What nobody waits for any more is closed by threads, in a while.
                statistics = pool.statistics()
                left = statistics.in_flight, statistics.paused, statistics.coroutines
                if left == (0, 0, 0):
                    break
                await asyncio.sleep(0.001)
            chaos.check_counts()
            if round_ % 2:
                running = [asyncio.ensure_future(chaos.one()) for _ in range(100)]
                await asyncio.sleep(0.01 * chance.random())
                await pool.aclose(timeout=chance.choice([None, 0, 0.01]))
                await asyncio.gather(*running)
                while pool.statistics().in_flight:  # What could not be stopped is not waited for.
                    await asyncio.sleep(0.001)
            else:
                await pool.aclose()
            chaos.check_counts()
    assert not noise, noise
    assert outcomes["ended"] > outcomes["cancelled"] > 0, outcomes
    print("all ended")


if __name__ == "__main__":
    sys.setswitchinterval(1e-6)
    run = {"asyncio": asyncio.run, "uvloop": uvloop.run}[sys.argv[2]]
    run(main(sys.argv[1], int(sys.argv[3])))
