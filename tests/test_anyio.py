"""Pools under anyio's cancel scopes, time limits and task groups, which do as anyio documents."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from threadpool_lua import CoroutineError, PoolClosedError, ThreadPool

from .helpers import Gate, at_rest, until

SOON = 0.01  # seconds; a time limit for what never ends


@dataclass
class Host:
    """The functions that Lua calls, and what became of the calls."""

    started: int = 0
    cancelled: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self, *values: Any) -> tuple[Any, ...]:
        """Wait until the test says `go`."""
        self.started += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return values

    async def fail(self) -> None:
        await anyio.sleep(0)
        raise ValueError("no such user")


@pytest.fixture
async def host() -> Host:
    return Host()


@pytest.fixture
async def pool(lua: str, host: Host) -> AsyncIterator[ThreadPool]:
    """An open pool of one thread, which is at rest after each test."""
    functions: dict[str, Callable[..., Any]] = {"wait": host.wait, "fail": host.fail}
    async with ThreadPool("anyio", threads=1, lua=lua, functions=functions) as pool:
        yield pool
        await at_rest(pool)


async def submit(pool: ThreadPool) -> None:
    await pool.submit("pcall(host.wait)")


async def submit_on_yield(pool: ThreadPool) -> None:
    async def on_yield() -> None:
        await asyncio.Event().wait()

    await pool.submit("host = nil coroutine.yield()", on_yield=on_yield)


async def resume(pool: ThreadPool) -> None:
    await pool.create("host.wait()").resume()


async def resume_within(pool: ThreadPool) -> None:
    async with pool.create("coroutine.yield() host.wait()") as coroutine:
        await coroutine.resume()
        await coroutine.resume()


async def stream(pool: ThreadPool) -> None:
    async for _ in pool.stream("coroutine.yield(1) host.wait()"):
        pass


async def stream_within(pool: ThreadPool) -> None:
    async with pool.stream("coroutine.yield(1) host.wait()", prefetch=5) as rows:
        async for _ in rows:
            pass


async def map_ordered(pool: ThreadPool) -> None:
    async for _ in pool.map("host.wait()", itertools.count(), in_flight=10):
        pass


async def map_unordered(pool: ThreadPool) -> None:
    async with aclosing(pool.map("host.wait()", range(10), ordered=False)) as results:
        async for _ in results:
            pass


# All that can be awaited of a pool, each waiting for what never comes.
WAITS = [
    submit,
    submit_on_yield,
    resume,
    resume_within,
    stream,
    stream_within,
    map_ordered,
    map_unordered,
]
whatever_is_awaited = pytest.mark.parametrize("wait", WAITS)

Wait = Callable[[ThreadPool], Awaitable[None]]


@whatever_is_awaited
class TestWhateverIsAwaited:
    async def test_move_on_after_moves_on(self, pool: ThreadPool, host: Host, wait: Wait) -> None:
        with anyio.move_on_after(SOON) as scope:
            await wait(pool)
        assert scope.cancelled_caught
        await at_rest(pool)
        await until(lambda: host.cancelled == host.started)

    async def test_fail_after_raises_timeout_error(
        self, pool: ThreadPool, host: Host, wait: Wait
    ) -> None:
        with pytest.raises(TimeoutError), anyio.fail_after(SOON):
            await wait(pool)
        await at_rest(pool)
        await until(lambda: host.cancelled == host.started)

    async def test_a_scope_that_is_cancelled_already_lets_nothing_be_awaited(
        self, pool: ThreadPool, wait: Wait
    ) -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await wait(pool)
        assert scope.cancelled_caught

    async def test_a_scope_can_be_cancelled_from_elsewhere(
        self, pool: ThreadPool, host: Host, wait: Wait
    ) -> None:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                with anyio.CancelScope() as scope:

                    async def cancel_when_paused() -> None:
                        await until(lambda: pool.statistics().paused > 0)
                        scope.cancel()

                    group.start_soon(cancel_when_paused)
                    await wait(pool)
        assert scope.cancelled_caught
        await at_rest(pool)
        await until(lambda: host.cancelled == host.started)

    async def test_cancelling_reaches_what_is_awaited_afterwards_too(
        self, pool: ThreadPool, wait: Wait
    ) -> None:
        """In a cancelled scope every ``await`` is cancelled, not only the first."""
        reached = []
        with anyio.move_on_after(SOON) as scope:
            try:
                await wait(pool)
            finally:
                reached.append("finally")
                try:
                    await wait(pool)
                finally:
                    reached.append("finally again")
        assert scope.cancelled_caught
        assert reached == ["finally", "finally again"]

    async def test_the_failure_of_a_neighbour_in_a_task_group_cancels_it(
        self, pool: ThreadPool, host: Host, wait: Wait
    ) -> None:
        async def fail_when_paused() -> None:
            await until(lambda: pool.statistics().paused > 0)
            await pool.submit("host.fail()")

        with anyio.fail_after(10), pytest.raises(ExceptionGroup) as caught:
            async with anyio.create_task_group() as group:
                group.start_soon(wait, pool)
                group.start_soon(wait, pool)
                group.start_soon(fail_when_paused)
        (error,) = caught.value.exceptions
        assert isinstance(error, ValueError)
        await at_rest(pool)
        await until(lambda: host.cancelled == host.started)

    async def test_leaving_the_pool_in_a_cancelled_scope_ends_it(
        self, lua: str, host: Host, wait: Wait
    ) -> None:
        pool = ThreadPool("left", threads=1, lua=lua, functions={"wait": host.wait})
        with anyio.fail_after(10), anyio.move_on_after(SOON) as scope:
            async with pool:
                await wait(pool)
        assert scope.cancelled_caught
        await at_rest(pool)
        await until(lambda: host.cancelled == host.started)
        with pytest.raises(PoolClosedError):
            pool.submit("return 1")
        with anyio.fail_after(10):
            await pool.aclose()


class TestSubmit:
    async def test_what_ends_within_the_limit_is_not_cancelled(self, pool: ThreadPool) -> None:
        with anyio.fail_after(10) as scope:
            assert await pool.submit("coroutine.yield() return ...", 7) == 7
        assert not scope.cancelled_caught

    async def test_a_shielded_scope_is_let_finish(self, pool: ThreadPool, host: Host) -> None:
        result = None
        with anyio.CancelScope() as outer:
            outer.cancel()
            with anyio.CancelScope(shield=True):
                future = pool.submit("return host.wait(...)", "done")
                await until(lambda: host.started == 1)
                host.go.set()
                result = await future
            await anyio.sleep(0)
        assert outer.cancelled_caught
        assert result == "done"
        assert host.cancelled == 0

    async def test_a_time_limit_in_a_host_function_is_an_error_in_lua(self, lua: str) -> None:
        async def limited() -> None:
            with anyio.fail_after(SOON):
                await asyncio.Event().wait()

        async with ThreadPool("limit", threads=1, lua=lua, functions={"limited": limited}) as pool:
            with anyio.fail_after(10):
                source = "local _, err = pcall(host.limited) return err.type"
                assert await pool.submit(source) == "TimeoutError"
                with pytest.raises(TimeoutError):
                    await pool.submit("host.limited()")

    async def test_a_host_function_may_use_scopes_and_groups_of_its_own(self, lua: str) -> None:
        async def gather(count: int) -> list[int]:
            results: list[int] = []

            async def add(i: int) -> None:
                results.append(await pool.submit("return 2 * ...", i))

            with anyio.move_on_after(SOON) as scope:
                await asyncio.Event().wait()
            assert scope.cancelled_caught
            async with anyio.create_task_group() as group:
                for i in range(count):
                    group.start_soon(add, i)
            return sorted(results)

        async with ThreadPool("group", threads=1, lua=lua, functions={"gather": gather}) as pool:
            with anyio.fail_after(10):
                results = await pool.submit("return host.gather(5)")
        assert results == [0, 2, 4, 6, 8]

    async def test_a_host_function_may_cancel_the_scope_that_waits_for_it(self, lua: str) -> None:
        async def give_up() -> None:
            scope.cancel()
            await asyncio.Event().wait()

        functions = {"give_up": give_up}
        async with ThreadPool("given_up", threads=1, lua=lua, functions=functions) as pool:
            with anyio.fail_after(10), anyio.CancelScope() as scope:
                await pool.submit("host.give_up()")
            assert scope.cancelled_caught
            await at_rest(pool)

    async def test_room_is_given_back_by_who_is_cancelled(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        async with ThreadPool("full", threads=1, max_queue=0, lua=lua) as pool:
            only = gate()
            blocked = pool.submit(only.chunk)
            with anyio.move_on_after(SOON) as scope:
                await pool.room()
            assert scope.cancelled_caught
            await only.entered()
            only.open()
            assert await blocked == "through"
            with anyio.fail_after(10):
                await pool.room()
            assert await pool.submit("return 'fine'") == "fine"

    async def test_the_task_of_a_task_group_may_be_handed_the_result(
        self, pool: ThreadPool
    ) -> None:
        async def serve(*, task_status: anyio.abc.TaskStatus[int]) -> None:
            task_status.started(await pool.submit("return 7"))
            await pool.submit("host.wait()")

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                assert await group.start(serve) == 7
                group.cancel_scope.cancel()


class TestResume:
    async def test_a_resume_that_is_cancelled_closes_the_coroutine(
        self, pool: ThreadPool, host: Host
    ) -> None:
        coroutine = pool.create("coroutine.yield(1) host.wait()")
        assert await coroutine.resume() == 1
        with anyio.move_on_after(SOON) as scope:
            await coroutine.resume()
        assert scope.cancelled_caught
        assert coroutine.status == "destroyed"
        await at_rest(pool)
        await until(lambda: host.cancelled == host.started == 1)

    async def test_one_that_waits_for_its_owner_outlives_a_scope(self, pool: ThreadPool) -> None:
        coroutine = pool.create("coroutine.yield(1) coroutine.yield(2)")
        with anyio.move_on_after(SOON) as scope:
            assert await coroutine.resume() == 1
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert coroutine.status == "yielded"
        assert await coroutine.resume() == 2
        await coroutine.close()


class TestStream:
    async def test_a_step_that_is_cancelled_ends_its_task(
        self, pool: ThreadPool, host: Host
    ) -> None:
        rows = pool.stream("for i = 1, 3 do host.wait() coroutine.yield(i) end")
        with anyio.move_on_after(SOON) as scope:
            await anext(rows)
        assert scope.cancelled_caught
        await at_rest(pool)
        await until(lambda: host.cancelled == 1)
        with pytest.raises(CoroutineError, match="destroyed"):
            await anext(rows)

    async def test_closing_it_in_a_cancelled_scope_ends_its_task(
        self, pool: ThreadPool, host: Host
    ) -> None:
        rows = pool.stream("coroutine.yield(1) host.wait()", prefetch=1)
        assert await anext(rows) == 1
        await until(lambda: host.started == 1)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await rows.aclose()
        await at_rest(pool)
        await until(lambda: host.cancelled == 1)

    async def test_a_task_group_can_read_many(self, pool: ThreadPool) -> None:
        sums: dict[int, int] = {}

        async def add_up(last: int) -> None:
            rows = pool.stream("for i = 1, ... do coroutine.yield(i) end", last)
            sums[last] = sum([row async for row in rows])

        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                for last in range(20):
                    group.start_soon(add_up, last)
        assert sums == {last: last * (last + 1) // 2 for last in range(20)}


class TestMap:
    async def test_memory_object_streams_are_iterables_like_any_other(
        self, pool: ThreadPool
    ) -> None:
        send, receive = anyio.create_memory_object_stream[int](5)

        async def produce() -> None:
            async with send:
                for i in range(500):
                    await send.send(i)

        results = []
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(produce)
                async with receive:
                    async for result in pool.map("return 2 * ...", receive):
                        results.append(result)
        assert results == list(range(0, 1000, 2))

    async def test_a_time_limit_ends_one_whose_source_never_goes_on(self, pool: ThreadPool) -> None:
        ended = asyncio.Event()

        async def source() -> AsyncIterator[int]:
            try:
                yield 1
                await anyio.sleep_forever()
            finally:
                ended.set()

        results = []
        with anyio.move_on_after(0.1) as scope:
            async for result in pool.map("return ...", source()):
                results.append(result)
        assert scope.cancelled_caught
        assert results == [1]
        with anyio.fail_after(10):
            await ended.wait()


class TestOpeningAndClosing:
    async def test_opening_in_a_cancelled_scope_leaves_nothing_behind(self, lua: str) -> None:
        entered = False
        pool = ThreadPool("early", threads=2, lua=lua)
        with anyio.CancelScope() as scope:
            scope.cancel()
            async with pool:
                entered = True
                await anyio.sleep(0)
        assert scope.cancelled_caught
        assert not entered
        with pytest.raises(PoolClosedError):
            pool.submit("return 1")

    async def test_a_time_limit_of_aclose_leaves_the_pool_closing(
        self, pool: ThreadPool, host: Host
    ) -> None:
        future = pool.submit("return host.wait(...)", "done")
        await until(lambda: host.started == 1)
        with pytest.raises(TimeoutError), anyio.fail_after(SOON):
            await pool.aclose()
        with pytest.raises(PoolClosedError):
            pool.submit("return 1")
        assert not future.done() and host.cancelled == 0
        host.go.set()
        with anyio.fail_after(10):
            await pool.aclose()
        assert future.result() == "done"

    async def test_aclose_in_a_cancelled_scope_closes_all_the_same(
        self, pool: ThreadPool, host: Host
    ) -> None:
        future = pool.submit("return host.wait(...)", "done")
        with anyio.CancelScope() as scope:
            scope.cancel()
            await pool.aclose(timeout=10)
        assert scope.cancelled_caught
        with pytest.raises(PoolClosedError):
            pool.submit("return 1")
        host.go.set()
        with anyio.fail_after(10):
            assert await future == "done"
            await pool.aclose()

    async def test_a_shielded_aclose_finishes_in_a_cancelled_scope(
        self, pool: ThreadPool, host: Host
    ) -> None:
        future = pool.submit("return host.wait(...)", "done")
        await until(lambda: host.started == 1)
        with anyio.fail_after(10), anyio.CancelScope() as scope:
            scope.cancel()
            with anyio.CancelScope(shield=True):
                host.go.set()
                await pool.aclose()
        assert future.result() == "done"

    async def test_lua_that_cannot_be_stopped_holds_no_scope_up(
        self, lua: str, gate: Callable[[], Gate], host: Host
    ) -> None:
        only = gate()
        pool = ThreadPool("blocked", threads=2, lua=lua, functions={"wait": host.wait})
        with anyio.fail_after(10), anyio.CancelScope() as scope:
            async with pool:
                running = pool.submit(only.chunk)
                paused = pool.submit("host.wait()")
                await only.entered()
                await until(lambda: host.started == 1)
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert running.cancelled() and paused.cancelled()
        await until(lambda: host.cancelled == 1)
        only.open()
        await at_rest(pool)

    async def test_a_task_group_around_the_pool_ends_with_it(self, lua: str, host: Host) -> None:
        functions = {"wait": host.wait, "fail": host.fail}
        with anyio.fail_after(10), pytest.raises(ExceptionGroup) as caught:
            async with (
                anyio.create_task_group() as group,
                ThreadPool("inside", threads=1, lua=lua, functions=functions) as pool,
            ):
                for wait in WAITS:
                    group.start_soon(wait, pool)
                await until(lambda: pool.statistics().paused >= len(WAITS))
                await pool.submit("host.fail()")
        (error,) = caught.value.exceptions
        assert isinstance(error, ValueError)
        await at_rest(pool)
        await until(lambda: host.cancelled == host.started)

    async def test_a_pool_around_a_task_group_is_left_with_nothing_in_it(
        self, lua: str, host: Host
    ) -> None:
        functions = {"wait": host.wait, "fail": host.fail}
        with anyio.fail_after(10), pytest.raises(ExceptionGroup) as caught:
            async with (
                ThreadPool("outside", threads=1, lua=lua, functions=functions) as pool,
                anyio.create_task_group() as group,
            ):
                for wait in WAITS:
                    group.start_soon(wait, pool)
                await until(lambda: pool.statistics().paused >= len(WAITS))
                await pool.submit("host.fail()")
        (error,) = caught.value.exceptions
        assert isinstance(error, ValueError)
        assert host.cancelled == host.started
        now = pool.statistics()
        assert (now.in_flight, now.busy, now.paused, now.coroutines) == (0, 0, 0, 0)
