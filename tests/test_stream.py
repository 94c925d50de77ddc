"""What a task yields, as an asynchronous iterator: `ThreadPool.stream`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from threadpool_lua import (
    CoroutineError,
    LuaError,
    LuaSyntaxError,
    MarshalError,
    PoolClosedError,
    QueueFullError,
    Stream,
    ThreadPool,
)

from .helpers import Gate, at_rest, blocks_at, until

COUNT = "for i = 1, ... do coroutine.yield(i) end"

# Tells `host.saw` of each row before it yields it, and for ever.
COUNT_ALOUD = "for i = 1, math.huge do host.saw(i) coroutine.yield(i) end"


async def nothing_goes_on(pool: ThreadPool) -> None:
    """Wait until all that has begun has ended or waits for its consumer."""
    await until(lambda: pool.statistics().in_flight == 0)


async def rows_of(stream: Stream) -> list[Any]:
    return [row async for row in stream]


def yields_behind(gate: Gate) -> str:
    return f"{blocks_at(gate)} coroutine.yield('first') coroutine.yield('second')"


class TestRows:
    @pytest.mark.parametrize("prefetch", [0, 1, 7, 10_000])
    async def test_they_come_in_order_and_what_is_returned_is_none(
        self, pool: ThreadPool, prefetch: int
    ) -> None:
        stream = pool.stream(COUNT + " return 'the end'", 100, prefetch=prefetch)
        assert await rows_of(stream) == list(range(1, 101))
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        assert pool.statistics().coroutines == 0

    async def test_no_value_gives_none_one_itself_several_a_tuple(self, pool: ThreadPool) -> None:
        chunk = """
            local yield = coroutine.yield
            yield() yield(nil) yield('one') yield({1, {}}) yield(1, nil, 'x') yield(nil, nil)
        """
        rows = [None, None, "one", [1, {}], (1, None, "x"), (None, None)]
        for prefetch in (0, 3):
            assert await rows_of(pool.stream(chunk, prefetch=prefetch)) == rows

    async def test_a_chunk_that_yields_nothing_gives_none(self, pool: ThreadPool) -> None:
        assert await rows_of(pool.stream("return 1, 2, 3")) == []

    @pytest.mark.parametrize("threads", [1, 4])
    async def test_thousands_come_in_order_however_many_streams_there_are(
        self, lua: str, threads: int
    ) -> None:
        async with ThreadPool("many", threads=threads, lua=lua) as pool:
            streams = [pool.stream(COUNT, 2000, prefetch=n) for n in (0, 1, 10, 100, 5000)]
            async with asyncio.timeout(60):
                for rows in await asyncio.gather(*map(rows_of, streams)):
                    assert rows == list(range(1, 2001))

    async def test_large_rows_cross(self, pool: ThreadPool) -> None:
        chunk = """
            local row = {}
            for i = 1, 30000 do row[i] = i end
            for i = 1, 3 do row[1] = i coroutine.yield(row, ('x'):rep(1000000)) end
        """
        rest = list(range(2, 30_001))
        rows = await rows_of(pool.stream(chunk, prefetch=1))
        assert rows == [([i, *rest], "x" * 1_000_000) for i in (1, 2, 3)]

    async def test_generators_in_lua_and_host_functions_have_their_place_in_one(
        self, pool: ThreadPool
    ) -> None:
        @pool.function
        async def double(i: int) -> int:
            await asyncio.sleep(0)
            return 2 * i

        chunk = """
            local function each() for i = 1, 50 do coroutine.yield(host.double(i)) end end
            for i in coroutine.wrap(each) do coroutine.yield(i, host.double(i)) end
        """
        for prefetch in (0, 5):
            rows = await rows_of(pool.stream(chunk, prefetch=prefetch))
            assert rows == [(2 * i, 4 * i) for i in range(1, 51)]


class TestPrefetch:
    async def test_nothing_runs_before_the_first_step(self, lua: str) -> None:
        saw: list[int] = []
        async with ThreadPool("lazy", threads=1, lua=lua, functions={"saw": saw.append}) as pool:
            stream = pool.stream(COUNT_ALOUD, prefetch=10)
            assert pool.statistics().in_flight == 0
            await pool.submit("return 'had there been something, it would have run'")
            assert saw == []
            await stream.aclose()

    @pytest.mark.parametrize("prefetch", [0, 1, 3, 20])
    async def test_lua_is_that_many_rows_ahead_and_no_more(self, lua: str, prefetch: int) -> None:
        saw: list[int] = []
        async with ThreadPool("ahead", threads=2, lua=lua, functions={"saw": saw.append}) as pool:
            stream = pool.stream(COUNT_ALOUD, prefetch=prefetch)
            for taken in range(1, 30):
                assert await anext(stream) == taken
                await nothing_goes_on(pool)
                assert len(saw) == taken + prefetch
            await stream.aclose()

    async def test_a_consumer_that_is_quicker_than_lua_gets_every_row(self, lua: str) -> None:
        rows: list[object] = []
        async with ThreadPool("slow", threads=1, lua=lua) as pool:
            chunk = "for i = 1, 20 do for _ = 1, 20000 do end coroutine.yield(i) end"
            async for row in pool.stream(chunk, prefetch=3):
                rows.append(row)
        assert rows == list(range(1, 21))

    @pytest.mark.parametrize("prefetch", [0, 5])
    async def test_streams_that_wait_for_their_consumers_hold_no_thread(
        self, lua: str, prefetch: int
    ) -> None:
        async with ThreadPool("one", threads=1, lua=lua) as pool:
            streams = [pool.stream(COUNT, 1000, prefetch=prefetch) for _ in range(100)]
            for row in (1, 2):
                assert await asyncio.gather(*map(anext, streams)) == [row] * 100
            assert await pool.submit("return 'meanwhile'") == "meanwhile"
            await nothing_goes_on(pool)
            assert pool.statistics().coroutines == 100

    async def test_one_that_prefetches_for_ever_starves_nobody(self, lua: str) -> None:
        async with ThreadPool("one", threads=1, lua=lua) as pool:
            endless = "while true do coroutine.yield() end"
            stream = pool.stream(endless, prefetch=10**9)
            await anext(stream)
            async with asyncio.timeout(30):
                for i in range(50):
                    assert await pool.submit("return ...", i) == i
            await stream.aclose()

    @pytest.mark.parametrize(
        ("prefetch", "message"),
        [
            (-1, "prefetch must be at least 0, not -1"),
            (1.5, "prefetch must be int, not float"),
            (True, "prefetch must be int, not bool"),
        ],
    )
    async def test_bad_values_are_refused_at_once(
        self, pool: ThreadPool, prefetch: Any, message: str
    ) -> None:
        with pytest.raises((TypeError, ValueError), match=message):
            pool.stream(COUNT, 1, prefetch=prefetch)


@pytest.mark.parametrize("prefetch", [0, 2, 100])
class TestErrors:
    async def test_the_rows_before_an_error_come_first(
        self, pool: ThreadPool, prefetch: int
    ) -> None:
        stream = pool.stream(COUNT + "\nerror('no more')", 10, prefetch=prefetch)
        rows = []
        with pytest.raises(LuaError, match=":2: no more") as caught:
            async for row in stream:
                rows.append(row)
        assert rows == list(range(1, 11))
        assert caught.value.line == 2
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

    async def test_a_row_that_cannot_cross_ends_it_in_its_place(
        self, pool: ThreadPool, prefetch: int
    ) -> None:
        chunk = "coroutine.yield(1) coroutine.yield(2) coroutine.yield(3, print)"
        stream = pool.stream(chunk, prefetch=prefetch)
        assert [await anext(stream), await anext(stream)] == [1, 2]
        with pytest.raises(MarshalError, match=r"^yielded value 2: cannot pass a function$"):
            await anext(stream)
        assert await rows_of(stream) == []
        await at_rest(pool)

    async def test_what_cannot_begin_fails_in_the_first_step(
        self, pool: ThreadPool, prefetch: int
    ) -> None:
        for chunk, arg, error in (
            ("return (", None, LuaSyntaxError),
            (7, None, TypeError),
            (COUNT, set(), MarshalError),
        ):
            stream = pool.stream(chunk, arg, prefetch=prefetch)  # type: ignore[arg-type]
            with pytest.raises(error):
                await anext(stream)
            assert await rows_of(stream) == []

    async def test_the_exception_of_a_host_function_comes_out_of_its_step(
        self, pool: ThreadPool, prefetch: int
    ) -> None:
        error = ValueError("no")

        @pool.function
        def fail() -> None:
            raise error

        stream = pool.stream("coroutine.yield('row') host.fail()", prefetch=prefetch)
        assert await anext(stream) == "row"
        with pytest.raises(ValueError, match="no") as caught:
            await anext(stream)
        assert caught.value is error

    async def test_one_that_a_cancelled_host_function_cancels_does_not_look_complete(
        self, pool: ThreadPool, prefetch: int
    ) -> None:
        @pool.function
        async def cancelled() -> None:
            raise asyncio.CancelledError

        chunk = "coroutine.yield('row') host.cancelled() coroutine.yield('more')"
        stream = pool.stream(chunk, prefetch=prefetch)
        assert await anext(stream) == "row"
        with pytest.raises(asyncio.CancelledError):
            await anext(stream)

    async def test_an_error_that_nobody_steps_to_makes_no_noise(
        self, pool: ThreadPool, prefetch: int
    ) -> None:
        noise: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, event: noise.append(event))
        stream = pool.stream("coroutine.yield(1) error('nobody hears this')", prefetch=prefetch)
        assert await anext(stream) == 1
        await nothing_goes_on(pool)
        del stream
        await at_rest(pool)
        await asyncio.sleep(0)
        assert noise == []


class TestMaxQueue:
    async def test_the_first_step_is_refused_and_can_be_repeated(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        async with ThreadPool("strict", threads=1, max_queue=0, lua=lua) as pool:
            begun, late = (pool.stream(COUNT, 100, prefetch=2) for _ in range(2))
            assert await anext(begun) == 1
            await nothing_goes_on(pool)
            only = gate()
            blocked = pool.submit(only.chunk)
            await only.entered()
            with pytest.raises(QueueFullError, match='"strict" queue overflow: 0 tasks waiting'):
                await anext(late)
            assert [await anext(begun), await anext(begun)] == [2, 3]
            fourth = asyncio.ensure_future(anext(begun))  # waits for the thread
            only.open()
            assert await asyncio.gather(blocked, fourth) == ["through", 4]
            await nothing_goes_on(pool)
            assert await anext(late) == 1
            await late.aclose()


@pytest.mark.parametrize("prefetch", [0, 10])
class TestLeaving:
    async def test_break_ends_the_task(self, pool: ThreadPool, prefetch: int) -> None:
        async for row in pool.stream(COUNT, 10**9, prefetch=prefetch):
            if row == 3:
                break
        await at_rest(pool)

    async def test_an_exception_in_async_with_does(self, pool: ThreadPool, prefetch: int) -> None:
        with pytest.raises(ValueError, match="the block failed"):
            async with pool.stream(COUNT, 10**9, prefetch=prefetch) as stream:
                assert await anext(stream) == 1
                raise ValueError("the block failed")
        await at_rest(pool)

    async def test_dropping_the_stream_does_from_any_thread(
        self, pool: ThreadPool, prefetch: int
    ) -> None:
        streams = [pool.stream(COUNT, 10**9, prefetch=prefetch) for _ in range(200)]
        await asyncio.gather(*map(anext, streams))
        del streams[100:]
        await until(lambda: pool.statistics().coroutines == 100)
        await asyncio.to_thread(streams.clear)
        await at_rest(pool)

    async def test_after_aclose_there_are_no_rows(self, pool: ThreadPool, prefetch: int) -> None:
        stream = pool.stream(COUNT, 10**9, prefetch=prefetch)
        assert await anext(stream) == 1
        await nothing_goes_on(pool)
        for _ in range(2):
            await stream.aclose()
        assert await rows_of(stream) == []
        await at_rest(pool)

    async def test_one_that_was_closed_before_its_first_step_never_begins(
        self, pool: ThreadPool, prefetch: int
    ) -> None:
        stream = pool.stream(COUNT, 3, prefetch=prefetch)
        await stream.aclose()
        assert await rows_of(stream) == []
        assert pool.statistics().states == 0

    async def test_aclose_ends_the_iteration_of_a_step_that_waits(
        self, pool: ThreadPool, prefetch: int, gate: Callable[[], Gate]
    ) -> None:
        only = gate()
        stream = pool.stream(yields_behind(only), prefetch=prefetch)
        rows = asyncio.ensure_future(rows_of(stream))
        await only.entered()
        await stream.aclose()
        async with asyncio.timeout(10):
            assert await rows == []
        only.open()
        await at_rest(pool)

    @pytest.mark.parametrize("leave", ["break", "aclose"])
    @pytest.mark.parametrize("lua", ["lua54", "lua55"])
    async def test_to_be_closed_variables_are_closed(
        self, lua: str, prefetch: int, leave: str
    ) -> None:
        chunk = """
            local value <close> = setmetatable({}, {__close = function() shared.closed = true end})
            while true do coroutine.yield() end
        """
        async with ThreadPool("one", threads=1, lua=lua, init="shared = {}") as pool:
            stream = pool.stream(chunk, prefetch=prefetch)
            await anext(stream)
            if leave == "aclose":
                await stream.aclose()
            else:
                del stream
            await at_rest(pool)
            assert await pool.submit("return shared.closed") is True


class TestCancelledSteps:
    @pytest.mark.parametrize("prefetch", [0, 5])
    async def test_they_end_the_task_and_do_not_look_like_the_end(
        self, lua: str, prefetch: int
    ) -> None:
        entered, cancelled = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            entered.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                cancelled.set()

        async with ThreadPool("cancel", threads=1, lua=lua, functions={"wait": wait}) as pool:
            stream = pool.stream("coroutine.yield(1) host.wait()", prefetch=prefetch)
            assert await anext(stream) == 1
            step = asyncio.ensure_future(anext(stream))
            async with asyncio.timeout(10):
                await entered.wait()
                step.cancel()
                await cancelled.wait()
                with pytest.raises(asyncio.CancelledError):
                    await step
                for _ in range(2):
                    with pytest.raises(CoroutineError, match="destroyed"):
                        await anext(stream)
                await at_rest(pool)

    @pytest.mark.parametrize("prefetch", [0, 1, 5])
    async def test_whenever_it_happens_no_row_came_twice_and_nothing_is_left(
        self, pool: ThreadPool, prefetch: int
    ) -> None:
        chance = random.Random(prefetch)
        async with asyncio.timeout(30):
            for _ in range(50):
                stream = pool.stream(COUNT, 300, prefetch=prefetch)
                rows = []
                while True:
                    step = asyncio.ensure_future(anext(stream))
                    for _ in range(chance.randrange(6)):
                        await asyncio.sleep(0)
                    if chance.random() < 0.2:
                        step.cancel()
                    await asyncio.wait([step])
                    if step.cancelled():
                        break
                    rows.append(step.result())
                assert rows == list(range(1, len(rows) + 1))
                await stream.aclose()  # The step may have been cancelled before it began.
            await at_rest(pool)


async def test_two_tasks_cannot_read_at_the_same_time(
    pool: ThreadPool, gate: Callable[[], Gate]
) -> None:
    only = gate()
    stream = pool.stream(yields_behind(only))
    first = asyncio.ensure_future(anext(stream))
    await only.entered()
    with pytest.raises(RuntimeError, match="a stream is read by one task at a time"):
        await anext(stream)
    only.open()
    assert await first == "first"
    assert await rows_of(stream) == ["second"]


class TestClosingThePool:
    @pytest.mark.parametrize("prefetch", [0, 3])
    async def test_the_rows_that_are_there_come_and_then_the_error(
        self, lua: str, prefetch: int
    ) -> None:
        async with ThreadPool("closing", threads=1, lua=lua) as pool:
            stream = pool.stream(COUNT, 1000, prefetch=prefetch)
            assert await anext(stream) == 1
            await nothing_goes_on(pool)
        rows = []
        async with asyncio.timeout(10):
            with pytest.raises(PoolClosedError, match='thread pool "closing" is closed'):
                async for row in stream:
                    rows.append(row)
        assert rows == list(range(2, 2 + prefetch))
        assert await rows_of(stream) == []

    async def test_one_that_has_yielded_all_its_rows_ends_as_ever(self, lua: str) -> None:
        async with ThreadPool("closing", threads=1, lua=lua) as pool:
            stream = pool.stream(COUNT, 5, prefetch=10)
            assert await anext(stream) == 1
            await nothing_goes_on(pool)
        assert await rows_of(stream) == [2, 3, 4, 5]

    async def test_it_waits_for_a_step_but_for_no_consumer(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        only = gate()
        pool = ThreadPool("closing", threads=1, lua=lua)
        await pool.open()
        stream = pool.stream(yields_behind(only))
        step = asyncio.ensure_future(anext(stream))
        await only.entered()
        closing = asyncio.ensure_future(pool.aclose())
        await asyncio.sleep(0)
        only.open()
        async with asyncio.timeout(10):
            assert await step == "first"
            await closing
        with pytest.raises(PoolClosedError):
            await anext(stream)

    async def test_with_a_time_limit_it_ends_a_step_that_takes_longer(self, lua: str) -> None:
        event = asyncio.Event()
        pool = ThreadPool("closing", threads=1, lua=lua, functions={"wait": event.wait})
        await pool.open()
        stream = pool.stream("coroutine.yield('row') host.wait()", prefetch=1)
        assert await anext(stream) == "row"
        step = asyncio.ensure_future(anext(stream))
        await until(lambda: pool.statistics().paused == 1)
        async with asyncio.timeout(10):
            await pool.aclose(timeout=0)
            with pytest.raises(PoolClosedError, match='"closing" was closed before'):
                await step

    async def test_one_that_the_pool_cancels_does_not_look_complete(self, lua: str) -> None:
        event = asyncio.Event()
        with pytest.raises(ValueError, match="the block failed"):
            async with ThreadPool("failing", threads=1, lua=lua) as pool:
                pool.function(event.wait)
                stream = pool.stream("coroutine.yield('row') host.wait() coroutine.yield('more')")
                assert await anext(stream) == "row"
                step = asyncio.ensure_future(anext(stream))
                await until(lambda: pool.statistics().paused == 1)
                raise ValueError("the block failed")
        async with asyncio.timeout(10):
            with pytest.raises((PoolClosedError, asyncio.CancelledError)):
                await step

    async def test_a_closed_pool_makes_none_and_begins_none(self, lua: str, tmp_path: Path) -> None:
        trace = tmp_path / "trace"
        async with ThreadPool("closing", threads=1, lua=lua) as pool:
            stream = pool.stream("io.open(..., 'w'):close()", str(trace))
        with pytest.raises(PoolClosedError, match='thread pool "closing" is closed'):
            await anext(stream)
        with pytest.raises(PoolClosedError, match='thread pool "closing" is closed'):
            pool.stream(COUNT, 1)
        assert not trace.exists()


async def test_aclose_waits_until_lua_has_closed_what_was_to_be_closed() -> None:
    closed: list[bool] = []
    chunk = """
        local _ <close> = setmetatable({}, {__close = function() flag.closed = true end})
        coroutine.yield(1)
    """
    async with ThreadPool("tbc", threads=1, lua="lua54", init="flag = {closed = false}") as pool:
        async with pool.stream(chunk) as rows:
            assert await anext(rows) == 1
            closed.append(await pool.submit("return flag.closed"))
        assert pool.statistics().coroutines == 0
        closed.append(await pool.submit("return flag.closed"))
    assert closed == [False, True]
