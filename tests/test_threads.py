"""How threads share the work, whatever the tasks are like."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from threadpool_lua import Chunk, ThreadPool

from .helpers import Gate

TINY = "return ..."
SLEEP = Chunk("return sleep(...)", name="sleep")  # returns which state slept
INIT = Chunk(
    "local ffi = require('ffi') ffi.cdef 'int poll(void *, unsigned long, int);'"
    " local state = tostring({})"
    " function sleep(ms) ffi.C.poll(nil, 0, ms) return state end"
)


async def many_tiny(pool: ThreadPool, count: int, in_flight: int = 100) -> None:
    """Run tiny tasks at the highest rate."""

    async def one_after_the_other() -> None:
        for i in range(count // in_flight):
            assert await pool.submit(TINY, i) == i

    await asyncio.gather(*(one_after_the_other() for _ in range(in_flight)))


async def test_tasks_that_block_run_at_the_same_time(gate: Callable[[], Gate], lua: str) -> None:
    async with ThreadPool("parallel", threads=8, lua=lua) as pool:
        gates = [gate() for _ in range(8)]
        blocked = [pool.submit(each.chunk) for each in gates]
        for each in gates:
            await each.entered()
        for each in gates:
            each.open()
        assert await asyncio.gather(*blocked) == ["through"] * 8


async def test_a_task_that_blocks_among_tiny_ones_delays_no_other(
    gate: Callable[[], Gate], lua: str
) -> None:
    """One thread may serve all the tiny tasks; when it gets stuck, the others take over."""
    async with ThreadPool("mixed", threads=4, lua=lua) as pool:
        for _ in range(3):
            await many_tiny(pool, 5000)
            gates = [gate() for _ in range(3)]
            blocked = [pool.submit(each.chunk) for each in gates]
            async with asyncio.timeout(10):
                await many_tiny(pool, 1000)
                for each in gates:
                    await each.entered()
            for each in gates:
                each.open()
            assert await asyncio.gather(*blocked) == ["through"] * 3


async def test_completions_are_told_while_the_next_task_blocks(
    gate: Callable[[], Gate], lua: str
) -> None:
    async with ThreadPool("told", threads=2, lua=lua) as pool:
        await many_tiny(pool, 10_000)
        only = gate()
        before = [pool.submit(TINY, i) for i in range(3)]
        blocked = pool.submit(only.chunk)
        async with asyncio.timeout(10):
            assert await asyncio.gather(*before) == [0, 1, 2]
        await only.entered()
        only.open()
        assert await blocked == "through"


async def test_short_sleeps_after_tiny_tasks_still_use_all_threads() -> None:
    """They follow each other too quickly for any to look stuck."""
    async with ThreadPool("sleeps", threads=16, init=INIT) as pool:
        await many_tiny(pool, 10_000)
        states = await asyncio.gather(*(pool.submit(SLEEP, 5) for _ in range(320)))
        assert len(set(states)) > 8


async def test_closing_does_not_wait_for_threads_that_rest(lua: str) -> None:
    for threads in (2, 32):
        pool = ThreadPool("resting", threads=threads, lua=lua)
        await pool.open()
        await many_tiny(pool, 10_000)
        async with asyncio.timeout(5):
            await pool.aclose()


async def test_results_come_back_on_the_loops_thread(pool: ThreadPool) -> None:
    here = threading.get_ident()
    threads: list[int] = []
    futures = [pool.submit(TINY, i) for i in range(200)]
    for future in futures:
        future.add_done_callback(lambda _: threads.append(threading.get_ident()))
    await asyncio.gather(*futures)
    await asyncio.sleep(0)
    assert set(threads) == {here}
    assert len(threads) == 200


@pytest.mark.parametrize("threads", [1, 3, 32])
async def test_any_number_of_threads_serves(lua: str, threads: int) -> None:
    async with ThreadPool("any", threads=threads, lua=lua) as pool:
        for size in (1, threads, 50 * threads):
            results = await asyncio.gather(*(pool.submit(TINY, i) for i in range(size)))
            assert results == list(range(size))
