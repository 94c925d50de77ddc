"""What a pool tells of itself: counts, how long steps wait and run, its log and its repr."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import FrozenInstanceError, astuple
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from threadpool_lua import (
    Histogram,
    InitError,
    LuaError,
    LuaMemoryLimitError,
    LuaSyntaxError,
    LuaTimeLimitError,
    PoolClosedError,
    PoolStatistics,
    QueueFullError,
    ThreadPool,
)

from .helpers import Gate, at_rest, until

# It is the time of the process that passes: wherever it is measured, half of it is far enough.
BUSY = "local stop = os.clock() + ... repeat until os.clock() >= stop"


def tasks(pool: ThreadPool) -> dict[str, int]:
    """Return what the pool tells of tasks, but for what is 0, once the sum has been checked."""
    now = pool.statistics()
    names = "waiting", "running", "paused", "completed", "failed", "cancelled", "abandoned"
    parts = {name: getattr(now, name) for name in names}
    assert now.submitted == sum(parts.values())
    assert min(parts.values()) >= 0
    return {name: count for name, count in parts.items() if count}


def threads_of(pool: str) -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith(f"threadpool_lua {pool}-")]


class TestCountsOfTasks:
    async def test_a_pool_that_is_not_open_has_none(self, lua: str) -> None:
        pool = ThreadPool("new", threads=3, lua=lua)
        assert tasks(pool) == {}
        now = pool.statistics()
        assert (now.threads, now.busy, now.idle) == (3, 0, 3)
        assert (now.states, now.states_made, now.states_replaced) == (0, 0, 0)

    async def test_results_and_errors(self, pool: ThreadPool) -> None:
        await asyncio.gather(*(pool.submit("return ...", i) for i in range(500)))
        for chunk, kind in ("error('no')", LuaError), ("error(", LuaSyntaxError):
            with pytest.raises(kind):
                await pool.submit(chunk)
        assert tasks(pool) == {"completed": 500, "failed": 2}

    async def test_waiting_and_running(self, pool: ThreadPool, gate: Callable[[], Gate]) -> None:
        gates = [gate(), gate()]
        futures = [pool.submit(one.chunk) for one in gates]
        for one in gates:
            await one.entered()
        futures += [pool.submit("return 1") for _ in range(3)]
        assert tasks(pool) == {"waiting": 3, "running": 2}
        now = pool.statistics()
        assert (now.threads, now.busy, now.idle, now.in_flight) == (2, 2, 0, 5)
        for one in gates:
            one.open()
        await asyncio.gather(*futures)
        assert tasks(pool) == {"completed": 5}
        await at_rest(pool)
        assert pool.statistics().idle == 2

    async def test_paused(self, pool: ThreadPool) -> None:
        bell = asyncio.Event()
        pool.function(bell.wait, name="wait")
        futures = [pool.submit("host.wait() error('rung')") for _ in range(3)]
        await until(lambda: pool.statistics().paused == 3)
        assert tasks(pool) == {"paused": 3}
        futures[0].cancel()
        await until(lambda: pool.statistics().coroutines == 2)
        assert tasks(pool) == {"paused": 2, "cancelled": 1}
        bell.set()
        await asyncio.wait(futures)
        assert tasks(pool) == {"failed": 2, "cancelled": 1}

    async def test_the_sum_holds_in_a_function_that_is_called_in_the_midst(
        self, pool: ThreadPool
    ) -> None:
        submitted = set()

        def look(_: object) -> None:
            tasks(pool)
            submitted.add(pool.statistics().submitted)

        chunk = "local n = ... if n % 3 == 0 then error(n) elseif n % 3 == 1 then return n end "
        futures = [pool.submit(chunk + "coroutine.yield(n)", i, on_yield=look) for i in range(300)]
        for future in futures[::7]:
            future.cancel()
        await asyncio.wait(futures)
        await at_rest(pool)
        assert submitted == {300}
        assert pool.statistics().submitted == 300

    async def test_errors_of_on_yield(self, pool: ThreadPool) -> None:
        def fails(_: object) -> None:
            raise ZeroDivisionError

        def cancels(_: object) -> None:
            raise asyncio.CancelledError

        for function in fails, cancels:
            await asyncio.wait([pool.submit("coroutine.yield(1)", on_yield=function)])
        assert tasks(pool) == {"failed": 1, "cancelled": 1}

    async def test_rejected_ones_are_not_submitted(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        async with ThreadPool("full", threads=1, max_queue=1, lua=lua) as pool:
            only = gate()
            futures = [pool.submit(only.chunk), pool.submit("return 1")]
            await only.entered()
            refused = [
                lambda: pool.submit("return 2"),
                lambda: pool.create("return 3").resume(),
                lambda: anext(pool.stream("coroutine.yield(4)")),
            ]
            for submit in refused:
                with pytest.raises(QueueFullError):
                    await submit()
            assert tasks(pool) == {"waiting": 1, "running": 1}
            assert pool.statistics().rejected == 3
            only.open()
            await asyncio.gather(*futures)

    async def test_a_place_in_the_queue_is_no_task(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        async with ThreadPool("full", threads=1, max_queue=0, lua=lua) as pool:
            only = gate()
            future = pool.submit(only.chunk)
            await only.entered()
            seen = []

            async def waits() -> None:
                await pool.room()
                seen.append(tasks(pool))

            waiters = [asyncio.ensure_future(waits()) for _ in range(2)]
            await asyncio.sleep(0)
            only.open()
            future.add_done_callback(lambda _: seen.append(tasks(pool)))
            await asyncio.gather(*waiters)
            assert seen == [{"completed": 1}] * 3


class TestCountsOfCancelledTasks:
    async def test_in_the_queue(self, pool: ThreadPool, gate: Callable[[], Gate]) -> None:
        gates = [gate(), gate()]
        running = [pool.submit(one.chunk) for one in gates]
        for one in gates:
            await one.entered()
        for future in [pool.submit("return 1") for _ in range(5)]:
            future.cancel()
        # As far as a thread has come to know.
        assert tasks(pool) == {"waiting": 5, "running": 2}
        for one in gates:
            one.open()
        await asyncio.gather(*running)
        await at_rest(pool)
        assert tasks(pool) == {"completed": 2, "cancelled": 5}

    async def test_out_of_a_full_queue(self, lua: str, gate: Callable[[], Gate]) -> None:
        async with ThreadPool("full", threads=1, max_queue=5, lua=lua) as pool:
            only = gate()
            futures = [pool.submit(only.chunk)]
            await only.entered()
            for future in [pool.submit("return 1") for _ in range(5)]:
                future.cancel()
            futures.append(pool.submit("return 2"))
            assert tasks(pool) == {"waiting": 1, "running": 1, "cancelled": 5}
            only.open()
            await asyncio.gather(*futures)

    async def test_those_that_run_are_abandoned(
        self, pool: ThreadPool, gate: Callable[[], Gate]
    ) -> None:
        returns, fails = gate(), gate()
        futures = [
            pool.submit(returns.chunk),
            pool.submit(f"io.open('{fails.path}'):read('*a') error('unheard')"),
        ]
        for one, future in zip((returns, fails), futures, strict=True):
            await one.entered()
            future.cancel()
        assert tasks(pool) == {"running": 2}
        returns.open()
        fails.open()
        await at_rest(pool)
        assert tasks(pool) == {"abandoned": 2}

    async def test_those_that_come_to_a_pause_are_not(
        self, pool: ThreadPool, gate: Callable[[], Gate]
    ) -> None:
        only = gate()
        future = pool.submit(f"io.open('{only.path}'):read('*a') coroutine.yield(1)")
        await only.entered()
        future.cancel()
        only.open()
        await at_rest(pool)
        assert tasks(pool) == {"cancelled": 1}

    async def test_those_that_are_stopped_are_not(self, lua: str) -> None:
        async with ThreadPool("stop", threads=1, lua=lua, interruptible=True) as pool:
            future = pool.submit("while true do end")
            await until(lambda: pool.statistics().busy == 1)
            future.cancel()
            await at_rest(pool)
            assert tasks(pool) == {"cancelled": 1}

    async def test_as_a_pool_is_closed(self, lua: str, gate: Callable[[], Gate]) -> None:
        pool = ThreadPool("over", threads=1, lua=lua)
        await pool.open()
        bell = asyncio.Event()
        pool.function(bell.wait, name="wait")
        only = gate()
        futures = [pool.submit("host.wait()")]
        await until(lambda: pool.statistics().paused == 1)
        futures.append(pool.submit(only.chunk))
        await only.entered()
        futures += [pool.submit("return 1") for _ in range(3)]
        assert tasks(pool) == {"waiting": 3, "running": 1, "paused": 1}
        await pool.aclose(timeout=0)
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {PoolClosedError}
        assert tasks(pool) == {"running": 1, "cancelled": 4}
        only.open()
        await until(lambda: pool.statistics().running == 0)
        assert tasks(pool) == {"cancelled": 4, "abandoned": 1}


class TestCountsOfOtherTasks:
    async def test_items_of_map(self, pool: ThreadPool) -> None:
        assert len([_ async for _ in pool.map("return ...", range(1000))]) == 1000
        assert tasks(pool) == {"completed": 1000}
        assert pool.statistics().in_flight == 0

    async def test_items_that_pause(self, pool: ThreadPool) -> None:
        chunk = "local n = ... if n % 5 == 0 then coroutine.yield(n) end return n"
        assert len([_ async for _ in pool.map(chunk, range(200))]) == 200
        assert tasks(pool) == {"completed": 200}

    async def test_items_that_wait_in_a_batch(self, lua: str, gate: Callable[[], Gate]) -> None:
        async with ThreadPool("one", threads=1, lua=lua) as pool:
            only = gate()
            warm = [_ async for _ in pool.map("return ...", range(200))]
            future = pool.submit(only.chunk)
            await only.entered()
            results = pool.map("return ...", range(10))
            first = asyncio.ensure_future(anext(results))
            await until(lambda: pool.statistics().in_flight > 1)
            counted = tasks(pool)
            assert counted.pop("waiting") >= 1
            assert counted == {"completed": len(warm), "running": 1}
            only.open()
            await asyncio.gather(first, future)
            assert [_ async for _ in results] == list(range(1, 10))
            assert tasks(pool) == {"completed": 211}

    async def test_an_item_that_fails(self, pool: ThreadPool) -> None:
        source = iter(range(100))
        with pytest.raises(LuaError):
            async for _ in pool.map("if ... == 30 then error('no') end", source, in_flight=20):
                pass
        await at_rest(pool)
        counted = tasks(pool)
        assert counted["failed"] == 1
        assert counted["completed"] >= 30
        assert sum(counted.values()) <= 100 - len(list(source))

    async def test_a_map_that_is_left(self, pool: ThreadPool) -> None:
        results = pool.map("return ...", range(1000), in_flight=100)
        async for _ in results:
            break
        await results.aclose()  # type: ignore[attr-defined]
        await at_rest(pool)
        assert set(tasks(pool)) <= {"completed", "cancelled", "abandoned"}

    async def test_items_for_which_no_state_can_be_made(self, lua: str) -> None:
        async with ThreadPool("bad", threads=1, lua=lua, init="error('no')") as pool:
            with pytest.raises(InitError):
                async for _ in pool.map("return ...", range(10), in_flight=1):
                    pass
            assert tasks(pool) == {"failed": 1}
            assert pool.statistics().states_made == 0

    async def test_steps_of_a_coroutine(self, pool: ThreadPool) -> None:
        coroutine = pool.create("for i = 1, ... do coroutine.yield(i, i) end")
        assert tasks(pool) == {}
        for _ in range(3):
            await coroutine.resume(5)
        assert tasks(pool) == {"completed": 3}
        await coroutine.close()  # What the thread does for this is no task.
        assert tasks(pool) == {"completed": 3}

    async def test_a_yield_that_cannot_cross(self, pool: ThreadPool) -> None:
        coroutine = pool.create("coroutine.yield(print) return 1")
        await asyncio.wait([coroutine.resume()])
        assert tasks(pool) == {"failed": 1}
        await coroutine.resume()
        assert tasks(pool) == {"completed": 1, "failed": 1}

    @pytest.mark.parametrize("chunk", ["coroutine.yield(1)", "coroutine.yield(1, 2)"])
    async def test_a_resume_that_is_cancelled_while_it_runs(
        self, pool: ThreadPool, gate: Callable[[], Gate], chunk: str
    ) -> None:
        only = gate()
        read = f"io.open('{only.path}'):read('*a')"
        coroutine = pool.create(f"coroutine.yield(0) {read} {chunk}")
        await coroutine.resume()
        future = coroutine.resume()
        await only.entered()
        future.cancel()
        only.open()
        await at_rest(pool)
        assert tasks(pool) == {"completed": 1, "cancelled": 1}

    @pytest.mark.parametrize("prefetch", [0, 3])
    async def test_rows_of_a_stream(self, pool: ThreadPool, prefetch: int) -> None:
        stream = pool.stream("for i = 1, 20 do coroutine.yield(i) end", prefetch=prefetch)
        assert [row async for row in stream] == list(range(1, 21))
        assert tasks(pool) == {"completed": 21}

    @pytest.mark.parametrize("prefetch", [0, 3])
    async def test_a_stream_that_is_left(self, pool: ThreadPool, prefetch: int) -> None:
        async with pool.stream("for i = 1, 20 do coroutine.yield(i) end", prefetch=prefetch) as s:
            assert await anext(s) == 1
            await until(lambda: pool.statistics().in_flight == 0)
            assert tasks(pool) == {"completed": 1 + prefetch}
        await at_rest(pool)
        assert tasks(pool) == {"completed": 1 + prefetch}

    async def test_a_stream_that_is_cancelled_at_a_host_function(self, pool: ThreadPool) -> None:
        bell = asyncio.Event()
        pool.function(bell.wait, name="wait")
        stream = pool.stream("coroutine.yield(1) host.wait()")
        assert await anext(stream) == 1
        step = asyncio.ensure_future(anext(stream))
        await until(lambda: pool.statistics().paused == 1)
        step.cancel()
        await at_rest(pool)
        assert tasks(pool) == {"completed": 1, "cancelled": 1}


class TestLimits:
    async def test_what_they_end(self, lua: str) -> None:
        limits = {"time_limit": 0.05, "memory_limit": 2**21}
        async with ThreadPool("tight", threads=1, lua=lua, **limits) as pool:  # type: ignore[arg-type]
            with pytest.raises(LuaTimeLimitError):
                await pool.submit("while true do end")
            with pytest.raises(LuaMemoryLimitError):
                await pool.submit("local t = {} for i = 1, 1e9 do t[i] = {i} end")
            with pytest.raises(LuaError):
                await pool.submit("error('no')")
            with pytest.raises(LuaTimeLimitError):
                async for _ in pool.map("while true do end", [1]):
                    pass
            assert tasks(pool) == {"failed": 4}
            now = pool.statistics()
            assert (now.time_limited, now.memory_limited) == (2, 1)

    async def test_what_does_not_come_back(self, lua: str, gate: Callable[[], Gate]) -> None:
        async with ThreadPool("stuck", threads=2, lua=lua, time_limit=0.5) as pool:
            gates = [gate(), gate()]
            assert len(threads_of("stuck")) == 2
            items = pool.map(gates[1].chunk, [1])
            futures = [pool.submit(gates[0].chunk), asyncio.ensure_future(anext(items))]
            for one in gates:
                await one.entered()
            outcomes = await asyncio.gather(*futures, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {LuaTimeLimitError}
            assert tasks(pool) == {"failed": 2}
            for one in gates:
                one.open()
            await until(lambda: len(threads_of("stuck")) == 2)  # Those that were replaced are gone.
            await asyncio.sleep(0)
            assert tasks(pool) == {"failed": 2}
            now = pool.statistics()
            assert (now.time_limited, now.states_made, now.states_replaced) == (2, 2, 2)
            assert now.in_flight == 0

    async def test_states_that_are_replaced(self, lua: str) -> None:
        async with ThreadPool("short", threads=1, lua=lua, max_tasks_per_state=2) as pool:
            for _ in range(6):
                await pool.submit("return 1")
            await at_rest(pool)
            now = pool.statistics()
            assert (now.states, now.states_made, now.states_replaced) == (0, 3, 3)
        now = pool.statistics()
        assert (now.states, now.states_made, now.states_replaced) == (0, 3, 3)

    async def test_states_that_go_with_the_pool_are_not_replaced(self, lua: str) -> None:
        async with ThreadPool("long", threads=1, lua=lua) as pool:
            await pool.submit("return 1")
            assert pool.statistics().states == 1
        now = pool.statistics()
        assert (now.states, now.states_made, now.states_replaced) == (0, 1, 0)


def histogram(times: list[float]) -> Histogram:
    counts = [0] * (len(Histogram.bounds) + 1)
    for seconds in times:
        counts[bisect_left(Histogram.bounds, seconds)] += 1
    return Histogram(tuple(counts), sum(times), max(times, default=0.0))


class TestHistogram:
    @given(
        st.lists(st.floats(1e-6, 1e3) | st.sampled_from(Histogram.bounds), min_size=1),
        st.floats(0, 100),
    )
    def test_a_percentile_is_at_most_a_quarter_too_long(
        self, times: list[float], percent: float
    ) -> None:
        exact = sorted(times)[max(1, math.ceil(percent / 100 * len(times))) - 1]
        assert exact <= histogram(times).percentile(percent) <= exact * 1.26

    @given(st.lists(st.floats(0, 1e6), min_size=1))
    def test_what_is_exact(self, times: list[float]) -> None:
        told = histogram(times)
        assert told.count == len(times)
        assert told.percentile(100) == told.maximum == max(times)
        assert told.mean == pytest.approx(sum(times) / len(times))

    @given(st.lists(st.floats(0, 1e6), min_size=1))
    def test_percentiles_rise(self, times: list[float]) -> None:
        told = [histogram(times).percentile(percent) for percent in range(101)]
        assert all(one <= other for one, other in pairwise(told))

    def test_one_of_nothing(self) -> None:
        nothing = histogram([])
        assert nothing.count == 0
        assert math.isnan(nothing.mean)
        assert math.isnan(nothing.percentile(50))

    @pytest.mark.parametrize("percent", [-1, 100.1, math.nan])
    def test_there_are_no_other_percents(self, percent: float) -> None:
        with pytest.raises(ValueError, match="from 0 to 100"):
            histogram([1.0]).percentile(percent)


class TestTimes:
    async def test_all_steps_are_stood_for(self, pool: ThreadPool) -> None:
        for burst in 1, 10, 1000:
            await asyncio.gather(*(pool.submit("return 1") for _ in range(burst)))
        now = pool.statistics()
        assert now.wait.count == now.run.count == 1011
        await asyncio.gather(*(pool.submit("return 1") for _ in range(50)))
        assert pool.statistics().run.count == 1061
        # The snapshot does not change.
        assert now.run.count == 1011

    async def test_how_long_tasks_run(self, pool: ThreadPool) -> None:
        for _ in range(3):
            await pool.submit(BUSY, 0.02)
        run = pool.statistics().run
        assert run.count == 3
        assert run.total >= 0.03
        assert min(run.percentile(0), run.mean) >= 0.01

    async def test_how_long_tasks_wait(self, lua: str) -> None:
        async with ThreadPool("one", threads=1, lua=lua) as pool:
            await asyncio.gather(*(pool.submit(BUSY, 0.02) for _ in range(8)))
            wait = pool.statistics().wait
        assert wait.count == 8
        assert wait.maximum >= 0.01

    async def test_a_pause_ends_a_step(self, pool: ThreadPool) -> None:
        await pool.submit("coroutine.yield() coroutine.yield()")
        assert tasks(pool) == {"completed": 1}
        assert pool.statistics().run.count == 3

    async def test_coroutines_streams_and_batches_have_steps(self, pool: ThreadPool) -> None:
        coroutine = pool.create(BUSY)
        await coroutine.resume(0.02)
        assert pool.statistics().run.maximum >= 0.01
        async for _ in pool.stream(BUSY + " coroutine.yield(1)", 0.04):
            pass
        assert pool.statistics().run.maximum >= 0.02
        async for _ in pool.map(BUSY, [0.06]):
            pass
        assert pool.statistics().run.maximum >= 0.03

    async def test_what_has_not_been_run_is_not_measured(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        async with ThreadPool("one", threads=1, lua=lua) as pool:
            only = gate()
            future = pool.submit(only.chunk)
            await only.entered()
            pool.statistics()  # The next one is measured in any case.
            pool.submit("return 1").cancel()
            only.open()
            await future
            await at_rest(pool)
            assert tasks(pool) == {"completed": 1, "cancelled": 1}
            assert pool.statistics().run.count == 1


class TestLog:
    async def test_of_a_pool(self, lua: str, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "threadpool_lua")
        async with ThreadPool("told", threads=2, lua=lua, max_tasks_per_state=1) as pool:
            await pool.submit("return 1")
        await pool.aclose()
        told = [(record.levelname, record.getMessage()) for record in caplog.records]
        assert told == [
            ("INFO", 'thread pool "told" is open, with 2 threads'),
            ("DEBUG", 'thread pool "told": a Lua state has run all its tasks'),
            ("INFO", 'thread pool "told" is closed'),
        ]

    async def test_of_slow_tasks(
        self, lua: str, gate: Callable[[], Gate], caplog: pytest.LogCaptureFixture
    ) -> None:
        async with ThreadPool("slow", threads=2, lua=lua, slow_task=0.02) as pool:
            only = gate()
            future = pool.submit(only.chunk)
            await until(lambda: bool(caplog.records))
            other = gate()
            pool.function(lambda: None, name="nothing")
            paused = pool.submit(f"io.open('{other.path}'):read('*a')")
            await until(lambda: len(caplog.records) > 1)
            only.open()
            other.open()
            await asyncio.gather(future, paused)
        first, second = [record.getMessage() for record in caplog.records]  # Once for each.
        assert first.startswith("thread pool \"slow\": <Chunk 'gate'> has been running for ")
        assert second.startswith('thread pool "slow": <Chunk "io.open(')
        assert {record.levelname for record in caplog.records} == {"WARNING"}

    @pytest.mark.parametrize(
        ("seconds", "error"),
        [(0, ValueError), (math.inf, ValueError), ("1", TypeError), (True, TypeError)],
    )
    def test_how_long_slow_is(self, seconds: float, error: type[Exception]) -> None:
        with pytest.raises(error, match="slow_task"):
            ThreadPool(slow_task=seconds)


async def test_repr(lua: str, gate: Callable[[], Gate]) -> None:
    pool = ThreadPool("shown", threads=1, lua=lua)
    assert repr(pool) == "<ThreadPool 'shown' threads=1 not open>"
    async with pool:
        assert repr(pool) == "<ThreadPool 'shown' threads=1 busy=0 waiting=0 paused=0 states=0>"
        only = gate()
        futures = [pool.submit(only.chunk)]
        await only.entered()
        futures += [pool.submit("return 1") for _ in range(2)]
        assert repr(pool) == "<ThreadPool 'shown' threads=1 busy=1 waiting=2 paused=0 states=1>"
        only.open()
        await asyncio.gather(*futures)
    assert repr(pool) == "<ThreadPool 'shown' threads=1 closed>"


async def test_statistics_are_a_frozen_snapshot(pool: ThreadPool) -> None:
    before = pool.statistics()
    copy = astuple(before)
    await pool.submit("return 1")
    assert astuple(before) == copy
    assert isinstance(before, PoolStatistics)
    for thing, field in (before, "completed"), (before.run, "total"):
        with pytest.raises(FrozenInstanceError):
            setattr(thing, field, 1)
