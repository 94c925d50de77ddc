"""Races, provoked: random work on pools of all sizes, each round with a bound on time."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import subprocess
import sys
from collections.abc import Iterator

import pytest

from threadpool_lua import LuaError, QueueFullError, ThreadPool, ThreadPoolError

from .helpers import ROOT

ROUNDS = 6
TASKS = 1500


@pytest.fixture(autouse=True)
def switch_threads_all_the_time() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def work(chance: random.Random) -> tuple[str, tuple[object, ...], object]:
    """Return a chunk, its arguments, and its result or the type of its error."""
    n = chance.randrange(1000)
    return chance.choice(
        [
            ("return ...", (n,), n),
            ("return ...", ("text",), "text"),
            ("return {...}", (n, [n]), [n, [n]]),
            ("local n = ... for i = 1, 20000 do n = n + i % 2 end return n - 10000", (n,), n),
            ("error('no')", (), LuaError),
            ("error({...})", (n,), LuaError),
            ("return (", (), LuaError),
            ("return print", (), ThreadPoolError),
            ("collectgarbage() return 1", (), 1),
        ]
    )


async def one_task(pool: ThreadPool, chance: random.Random) -> None:
    chunk, args, expected = work(chance)
    if chance.random() < 0.3:
        await pool.room()
    try:
        future = pool.submit(chunk, *args)
    except QueueFullError as error:
        assert error.waiting >= error.max_queue
        return
    if chance.random() < 0.2:
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
        future.cancel()
    try:
        result = await future
    except asyncio.CancelledError:
        assert future.cancelled()
    except ThreadPoolError as error:
        assert isinstance(expected, type) and isinstance(error, expected)
    else:
        assert result == expected


@pytest.mark.parametrize(("threads", "max_queue"), [(1, 5), (2, 0), (4, 50), (32, 65536)])
async def test_random_tasks_all_end_as_they_should(lua: str, threads: int, max_queue: int) -> None:
    chance = random.Random(threads)
    async with asyncio.timeout(60):
        for _ in range(ROUNDS):
            async with ThreadPool("s", threads=threads, max_queue=max_queue, lua=lua) as pool:
                await asyncio.gather(*(one_task(pool, chance) for _ in range(TASKS)))
                # Those that were cancelled while they ran may still be on their way.
                while pool.statistics().in_flight:
                    await asyncio.sleep(0.001)
            gc.collect()


async def test_pools_closed_in_the_midst_of_everything(lua: str) -> None:
    chance = random.Random(7)
    async with asyncio.timeout(60):
        for round_ in range(30):
            pool = ThreadPool("closing", threads=chance.choice([1, 2, 8]), max_queue=20, lua=lua)
            await pool.open()

            async def submit_until_closed(pool: ThreadPool = pool) -> int:
                accepted = 0
                while True:
                    try:
                        await pool.room()
                        future = pool.submit("return ...", accepted)
                    except ThreadPoolError as error:
                        assert "is closed" in str(error)
                        return accepted
                    assert await future == accepted
                    accepted += 1

            tasks = [asyncio.ensure_future(submit_until_closed()) for _ in range(30)]
            for _ in range(chance.randrange(50)):
                await asyncio.sleep(0)
            if round_ % 3 == 0:
                tasks[0].cancel()
            await asyncio.gather(pool.aclose(), pool.aclose())
            await asyncio.gather(*tasks, return_exceptions=True)
            assert all(task.cancelled() or task.exception() is None for task in tasks)


async def test_pools_of_several_names_at_once(lua: str) -> None:
    async with asyncio.timeout(60):
        pools = [ThreadPool(f"pool {i}", threads=2, lua=lua) for i in range(8)]
        await asyncio.gather(*(pool.open() for pool in pools))
        futures = [pools[i % 8].submit("return ...", i) for i in range(4000)]
        assert await asyncio.gather(*futures) == list(range(4000))
        await asyncio.gather(*(pool.aclose() for pool in pools))


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("seed", [1, 2])
def test_everything_that_pauses_fails_and_is_cancelled_ends(lua: str, loop: str, seed: int) -> None:
    """`chaos.py` in a process of its own, which has the checks of Python's development mode on."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", lua, loop, str(seed)],
        env={**os.environ, "PYTHONDEVMODE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        cwd=ROOT,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "all ended\n", "")
