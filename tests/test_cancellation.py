"""Cancelling tasks: in the queue, while they run, and by asyncio's and anyio's own means."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from threadpool_lua import ThreadPool

from .helpers import Gate


async def test_a_queued_task_that_is_cancelled_never_runs(
    lua: str, gate: Callable[[], Gate], tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    touch = "io.open(..., 'w'):close()"
    async with ThreadPool("one", threads=1, lua=lua) as pool:
        only = gate()
        blocked = pool.submit(only.chunk)
        await only.entered()
        queued = pool.submit(touch, str(trace))
        queued.cancel()
        only.open()
        assert await blocked == "through"
        with pytest.raises(asyncio.CancelledError):
            await queued
        assert await pool.submit("return 'next'") == "next"
    assert not trace.exists()


async def test_a_running_task_that_is_cancelled_is_abandoned_and_its_state_goes_on(
    lua: str, gate: Callable[[], Gate]
) -> None:
    async with ThreadPool("one", threads=1, lua=lua, init="made = 'once'") as pool:
        only = gate()
        running = pool.submit(only.chunk)
        await only.entered()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        after = pool.submit("return made")
        only.open()
        assert await after == "once"


async def test_the_failure_of_an_abandoned_task_makes_no_noise(
    lua: str, gate: Callable[[], Gate]
) -> None:
    noise: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: noise.append(context))
    async with ThreadPool("one", threads=1, lua=lua) as pool:
        only = gate()
        failing = f"io.open('{only.path}'):read('*a') error('nobody hears this')"
        running = pool.submit(failing)
        await only.entered()
        running.cancel()
        only.open()
        assert await pool.submit("return 1") == 1
    assert noise == []


async def test_cancelling_the_awaiting_task_cancels_the_lua_task(
    lua: str, gate: Callable[[], Gate]
) -> None:
    async with ThreadPool("one", threads=1, lua=lua) as pool:
        only = gate()
        future = pool.submit(only.chunk)

        started = asyncio.Event()

        async def waits() -> None:
            started.set()
            await future

        waiting = asyncio.ensure_future(waits())
        await started.wait()  # What was cancelled before it began would not have awaited it.
        await only.entered()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert future.cancelled()
        only.open()


async def test_time_limits_of_asyncio_and_anyio_end_the_wait(
    lua: str, gate: Callable[[], Gate]
) -> None:
    async with ThreadPool("one", threads=2, lua=lua) as pool:
        gates = [gate(), gate()]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await pool.submit(gates[0].chunk)
        with pytest.raises(TimeoutError), anyio.fail_after(0.01):
            await pool.submit(gates[1].chunk)
        with anyio.move_on_after(0.01) as scope:
            await pool.submit("return 'behind both'")
        assert scope.cancelled_caught
        for each in gates:
            await each.entered()
            each.open()
        assert await pool.submit("return 'fine'") == "fine"


async def test_cancelling_at_random_moments_loses_nothing(lua: str) -> None:
    chance = random.Random(1)
    async with ThreadPool("chaos", threads=4, lua=lua) as pool:
        for _ in range(30):
            futures = [pool.submit("return ...", i) for i in range(100)]
            for future in chance.sample(futures, 50):
                future.cancel()
                if chance.random() < 0.1:
                    await asyncio.sleep(0)
            async with asyncio.timeout(10):
                outcomes = await asyncio.gather(*futures, return_exceptions=True)
            for i, (future, outcome) in enumerate(zip(futures, outcomes, strict=True)):
                assert outcome == i or future.cancelled()
        assert await pool.submit("return 'fine'") == "fine"
    assert "closed" in repr(pool)
