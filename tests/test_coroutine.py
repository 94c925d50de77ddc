"""Coroutines that their owner resumes step by step: `ThreadPool.create`."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from threadpool_lua import (
    Coroutine,
    CoroutineError,
    LuaError,
    LuaSyntaxError,
    MarshalError,
    PoolClosedError,
    QueueFullError,
    ThreadPool,
    ThreadPoolError,
)

from .helpers import Gate, at_rest, blocks_at, until

ECHO = "local value = ... while true do value = coroutine.yield(value) end"

# Of a state that `CLOSES` runs in, for the tasks that look at it.
INIT = "closed = {}"

# Yields for ever, and notes the names of its to-be-closed variables when they are closed.
CLOSES = """
    local function closing(name)
      return setmetatable({}, {__close = function() closed[#closed + 1] = name end})
    end
    local outer <close> = closing('outer')
    local inner <close> = closing('inner')
    while true do coroutine.yield() end
"""

request_id: ContextVar[str] = ContextVar("request_id", default="none")


@pytest.fixture(params=["lua54", "lua55"])
def lua_that_closes(request: pytest.FixtureRequest) -> str:
    """The Lua implementations that have to-be-closed variables."""
    name: str = request.param
    return name


class TestResume:
    async def test_the_first_arguments_are_the_chunks_and_the_later_ones_come_out_of_yield(
        self, pool: ThreadPool
    ) -> None:
        co = pool.create("""
            local a, b = ...
            local c = coroutine.yield(a + b)
            local d, e = coroutine.yield(c .. '!')
            return d * e
        """)
        assert await co.resume(20, 22) == 42
        assert await co.resume("text") == "text!"
        assert await co.resume(6, 7) == 42

    @pytest.mark.parametrize("args", [(), (None,), (1, None, "x", None), ([1, {"a": []}], 2**53)])
    async def test_no_value_is_none_one_itself_and_several_a_tuple(
        self, pool: ThreadPool, args: Any
    ) -> None:
        collapsed = args[0] if len(args) == 1 else args or None
        co = pool.create(
            "local function again(...) return again(coroutine.yield(...)) end again(...)"
        )
        for _ in range(3):
            assert await co.resume(*args) == collapsed
        counting = pool.create("return select('#', coroutine.yield(select('#', ...)))")
        assert await counting.resume(*args) == len(args)
        assert await counting.resume(*args) == len(args)

    async def test_many_coroutines_of_few_states_keep_what_is_theirs_apart(self, lua: str) -> None:
        chunk = "name = ... local n = 0 while true do n = n + 1 coroutine.yield(name, n) end"
        async with ThreadPool("few", threads=3, states=2, lua=lua) as pool:
            coroutines = [pool.create(chunk) for _ in range(60)]
            for n in range(1, 20):
                names = range(60) if n == 1 else range(1000, 1060)
                steps = map(Coroutine.resume, coroutines, names)
                assert await asyncio.gather(*steps) == [(name, n) for name in range(60)]
            assert pool.statistics().coroutines == 60
            assert pool.statistics().states <= 2

    async def test_it_holds_no_thread_while_it_waits(self, lua: str) -> None:
        async with ThreadPool("one", threads=1, lua=lua) as pool:
            waiting = [pool.create(ECHO) for _ in range(10)]
            for i, co in enumerate(waiting):
                assert await co.resume(i) == i
            assert await pool.submit("return 'meanwhile'") == "meanwhile"
            assert [await co.resume("again") for co in waiting] == ["again"] * 10

    async def test_a_host_function_has_the_context_of_who_resumes(self, lua: str) -> None:
        pool = ThreadPool("context", threads=1, lua=lua, functions={"plain": request_id.get})

        @pool.function
        async def slow() -> str:
            return request_id.get()

        async with pool:
            co = pool.create("while true do coroutine.yield(host.plain(), host.slow()) end")
            for name in ("first", "second"):
                request_id.set(name)
                assert await co.resume() == (name, name)


class TestStatus:
    async def test_of_one_that_succeeds(self, lua: str, gate: Callable[[], Gate]) -> None:
        before, within = gate(), gate()
        async with ThreadPool("one", threads=1, lua=lua) as pool:
            co = pool.create(f"coroutine.yield() {blocks_at(within)} return 'done'")
            seen = [co.status]
            blocked = pool.submit(before.chunk)
            await before.entered()
            first = asyncio.ensure_future(co.resume())
            await asyncio.sleep(0)
            seen.append(co.status)
            before.open()
            await asyncio.gather(blocked, first)
            seen.append(co.status)
            second = asyncio.ensure_future(co.resume())
            await within.entered()
            seen.append(co.status)
            within.open()
            assert await second == "done"
            seen.append(co.status)
        seen.append(co.status)
        assert seen == ["created", "queued", "yielded", "running", "success", "success"]

    async def test_of_one_that_waits_for_a_host_function(self, lua: str) -> None:
        event = asyncio.Event()
        async with ThreadPool("one", threads=1, lua=lua, functions={"wait": event.wait}) as pool:
            co = pool.create("return host.wait()")
            step = asyncio.ensure_future(co.resume())
            await until(lambda: pool.statistics().paused == 1)
            assert co.status == "running"
            with pytest.raises(CoroutineError, match="'running'"):
                await co.resume()
            event.set()
            assert await step is True
            assert co.status == "success"

    async def test_it_is_in_the_repr(self, pool: ThreadPool) -> None:
        co = pool.create(ECHO)
        assert repr(co) == "<Coroutine of 'test': created>"
        await co.resume()
        assert repr(co) == "<Coroutine of 'test': yielded>"


class TestErrors:
    @pytest.mark.parametrize("steps", [0, 1, 3])
    async def test_a_lua_error_ends_it(self, pool: ThreadPool, steps: int) -> None:
        co = pool.create("for _ = 1, ... do coroutine.yield() end\nerror({code = 7})")
        for _ in range(steps):
            await co.resume(steps)
        with pytest.raises(LuaError) as caught:
            await co.resume(steps)
        assert (caught.value.value, caught.value.line) == ({"code": 7}, 2)
        assert co.status == "failed"
        await at_rest(pool)

    async def test_what_cannot_be_compiled_fails_when_it_is_resumed(self, pool: ThreadPool) -> None:
        for chunk, error in (("return (", LuaSyntaxError), (7, TypeError)):
            co = pool.create(chunk)  # type: ignore[arg-type]
            with pytest.raises(error):
                await co.resume()
            assert co.status == "failed"

    async def test_one_that_has_ended_cannot_be_resumed(self, pool: ThreadPool) -> None:
        succeeded, failed, closed = map(pool.create, ("", "error('no')", ECHO))
        await succeeded.resume()
        with pytest.raises(LuaError):
            await failed.resume()
        await closed.resume()
        await closed.close()
        for co, status in (succeeded, "success"), (failed, "failed"), (closed, "destroyed"):
            with pytest.raises(CoroutineError) as caught:
                await co.resume()
            assert caught.value.status == co.status == status
            message = f"cannot resume a coroutine whose status is '{status}'"
            assert str(caught.value) == message
            assert isinstance(caught.value, RuntimeError)
            assert isinstance(caught.value, ThreadPoolError)

    async def test_one_that_runs_cannot_be_resumed_and_does_not_mind(
        self, pool: ThreadPool, gate: Callable[[], Gate]
    ) -> None:
        only = gate()
        co = pool.create(f"{blocks_at(only)} coroutine.yield('first') return 'second'")
        step = asyncio.ensure_future(co.resume())
        await asyncio.sleep(0)
        for _ in range(2):
            with pytest.raises(CoroutineError) as caught:
                await co.resume()
            assert caught.value.status in ("queued", "running")
            await only.entered()
        only.open()
        assert await step == "first"
        assert await co.resume() == "second"

    @pytest.mark.parametrize("begun", [False, True], ids=["created", "yielded"])
    async def test_after_arguments_that_cannot_cross_it_can_be_resumed(
        self, pool: ThreadPool, begun: bool
    ) -> None:
        co = pool.create(ECHO)
        if begun:
            await co.resume(0)
        for _ in range(2):
            with pytest.raises(MarshalError, match=r"^argument 2: \['a'\]: cannot pass a set$"):
                await co.resume(1, {"a": set()})
            assert co.status == ("yielded" if begun else "created")
        assert await co.resume("fine") == "fine"
        assert await co.resume("still") == "still"

    async def test_after_a_yielded_value_that_cannot_cross_it_can_be_resumed(
        self, pool: ThreadPool
    ) -> None:
        co = pool.create("return coroutine.yield(1, {print})")
        with pytest.raises(MarshalError, match=r"^yielded value 2: \[1\]: cannot pass a function$"):
            await co.resume()
        assert co.status == "yielded"
        assert await co.resume("fine") == "fine"

    async def test_a_result_that_cannot_cross_ends_it(self, pool: ThreadPool) -> None:
        co = pool.create("coroutine.yield() return print")
        await co.resume()
        with pytest.raises(MarshalError, match=r"^result 1: cannot pass a function$"):
            await co.resume()
        assert co.status == "failed"


class TestMaxQueue:
    async def test_it_refuses_one_that_would_begin_and_none_that_has_begun(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        only = gate()
        async with ThreadPool("strict", threads=1, max_queue=0, lua=lua) as pool:
            begun, late = pool.create(ECHO), pool.create(ECHO)
            assert await begun.resume(1) == 1
            blocked = pool.submit(only.chunk)
            await only.entered()
            with pytest.raises(QueueFullError, match='"strict" queue overflow: 0 tasks waiting'):
                await late.resume(2)
            assert late.status == "created"
            step = asyncio.ensure_future(begun.resume(3))
            await asyncio.sleep(0)
            assert begun.status == "queued"
            only.open()
            assert await asyncio.gather(blocked, step) == ["through", 3]
            assert await late.resume(4) == 4


class TestClose:
    async def test_it_ends_one_that_waits(self, pool: ThreadPool) -> None:
        co = pool.create(ECHO)
        await co.resume()
        closing = co.close()
        assert co.status == "destroyed"
        assert await closing is None
        assert pool.statistics().coroutines == 0
        assert pool.statistics().in_flight == 0

    async def test_it_need_not_be_awaited(self, pool: ThreadPool) -> None:
        coroutines = [pool.create(ECHO) for _ in range(100)]
        await asyncio.gather(*(co.resume() for co in coroutines))
        for co in coroutines:
            co.close()
        await at_rest(pool)

    async def test_it_does_nothing_to_one_that_has_ended(self, pool: ThreadPool) -> None:
        succeeded, failed, created = map(pool.create, ("", "error('no')", ECHO))
        await asyncio.gather(succeeded.resume(), failed.resume(), return_exceptions=True)
        for co, status in (succeeded, "success"), (failed, "failed"), (created, "destroyed"):
            await co.close()
            await co.close()
            assert co.status == status

    async def test_async_with_closes_it_however_the_block_ends(self, pool: ThreadPool) -> None:
        async with pool.create(ECHO) as first:
            assert await first.resume("in the block") == "in the block"
        with pytest.raises(ValueError, match="the block failed"):
            async with pool.create(ECHO) as second:
                await second.resume()
                raise ValueError("the block failed")
        assert (first.status, second.status) == ("destroyed", "destroyed")
        assert pool.statistics().coroutines == 0

    async def test_one_that_runs_is_abandoned(
        self, pool: ThreadPool, gate: Callable[[], Gate]
    ) -> None:
        only = gate()
        co = pool.create(f"{blocks_at(only)} coroutine.yield()")
        step = asyncio.ensure_future(co.resume())
        await only.entered()
        await co.close()
        assert co.status == "destroyed"
        with pytest.raises(asyncio.CancelledError):
            await step
        only.open()
        await at_rest(pool)
        assert co.status == "destroyed"

    async def test_to_be_closed_variables_are_closed_before_it_is_done(
        self, lua_that_closes: str
    ) -> None:
        async with ThreadPool("one", threads=1, lua=lua_that_closes, init=INIT) as pool:
            co = pool.create(CLOSES)
            await co.resume()
            await co.resume()
            await co.close()
            assert await pool.submit("return closed") == ["inner", "outer"]

    async def test_a_to_be_closed_variable_that_fails_is_logged_and_hurts_nobody(
        self, lua_that_closes: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        chunk = """
            local value <close> = setmetatable({}, {__close = function() error('stuck door') end})
            coroutine.yield()
        """
        async with ThreadPool("one", threads=1, lua=lua_that_closes) as pool:
            co = pool.create(chunk)
            await co.resume()
            await co.close()
            assert pool.statistics().coroutines == 0
            assert await pool.submit("return 'fine'") == "fine"
        assert [record.name for record in caplog.records] == ["threadpool_lua"]
        assert "stuck door" in caplog.text


class TestDrop:
    async def test_a_coroutine_that_nothing_refers_to_is_freed(self, pool: ThreadPool) -> None:
        coroutines = [pool.create(ECHO) for _ in range(1000)]
        await asyncio.gather(*(co.resume() for co in coroutines))
        assert pool.statistics().coroutines == 1000
        coroutines.clear()
        await at_rest(pool)
        assert await pool.submit("return 'fine'") == "fine"

    async def test_so_it_is_when_another_thread_drops_it_or_the_garbage_collector_does(
        self, pool: ThreadPool
    ) -> None:
        coroutines = [pool.create(ECHO) for _ in range(100)]
        await asyncio.gather(*(co.resume() for co in coroutines))
        await asyncio.to_thread(coroutines.clear)
        await at_rest(pool)
        cycle: list[object] = [pool.create(ECHO)]
        await cycle[0].resume()  # type: ignore[attr-defined]
        cycle.append(cycle)
        del cycle
        await asyncio.to_thread(gc.collect)
        await at_rest(pool)

    @pytest.mark.parametrize("steps", [1, 2])
    async def test_what_is_dropped_while_it_runs_gives_its_value_first(
        self, pool: ThreadPool, gate: Callable[[], Gate], steps: int
    ) -> None:
        only = gate()
        before = "coroutine.yield() " * (steps - 1)
        co = pool.create(f"{before} {blocks_at(only)} coroutine.yield('last')")
        for _ in range(steps - 1):
            await co.resume()
        step = co.resume()
        del co
        await only.entered()
        only.open()
        assert await step == "last"
        await at_rest(pool)

    async def test_what_is_dropped_while_it_runs_is_freed_if_its_value_cannot_cross(
        self, pool: ThreadPool
    ) -> None:
        with pytest.raises(MarshalError):
            await pool.create("coroutine.yield(print)").resume()
        await at_rest(pool)

    async def test_its_to_be_closed_variables_are_closed(self, lua_that_closes: str) -> None:
        async with ThreadPool("one", threads=1, lua=lua_that_closes, init=INIT) as pool:
            co = pool.create(CLOSES)
            await co.resume()
            del co
            await at_rest(pool)
            assert await pool.submit("return closed") == ["inner", "outer"]

    async def test_one_that_was_never_resumed_leaves_nothing(self, pool: ThreadPool) -> None:
        for _ in range(1000):
            pool.create(ECHO)
        statistics = pool.statistics()
        assert (statistics.coroutines, statistics.in_flight, statistics.states) == (0, 0, 0)


class TestCancel:
    async def test_cancelling_a_resume_that_runs_closes_the_coroutine(
        self, pool: ThreadPool, gate: Callable[[], Gate]
    ) -> None:
        only = gate()
        co = pool.create(f"coroutine.yield() {blocks_at(only)} coroutine.yield('late')")
        await co.resume()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await co.resume()
        assert co.status == "destroyed"
        with pytest.raises(CoroutineError, match="'destroyed'"):
            await co.resume()
        await only.entered()
        only.open()
        await at_rest(pool)

    async def test_cancelling_a_resume_in_the_queue_runs_no_more_of_it(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        only = gate()
        async with ThreadPool("one", threads=1, lua=lua, init="shared = {}") as pool:
            coroutines = [pool.create("coroutine.yield() shared.ran = true") for _ in range(2)]
            await coroutines[0].resume()
            blocked = pool.submit(only.chunk)
            await only.entered()
            steps = [asyncio.ensure_future(co.resume()) for co in coroutines]
            await asyncio.sleep(0)
            for step in steps:
                step.cancel()
            await asyncio.wait(steps)
            assert [co.status for co in coroutines] == ["destroyed"] * 2
            only.open()
            await blocked
            await at_rest(pool)
            assert await pool.submit("return shared.ran") is None

    async def test_cancelling_a_resume_whose_value_is_on_its_way_closes_the_coroutine(
        self, pool: ThreadPool, gate: Callable[[], Gate]
    ) -> None:
        only = gate()
        co = pool.create(f"coroutine.yield() {blocks_at(only)} coroutine.yield('late')")
        await co.resume()
        step = co.resume()
        await only.entered()
        only.open()
        while pool.statistics().busy:  # The loop gets no turn, and so does not hear of it.
            time.sleep(0.001)
        assert co.status == "running"
        step.cancel()
        assert co.status == "destroyed"
        await at_rest(pool)

    async def test_cancelling_a_resume_cancels_the_host_function_that_it_waits_for(
        self, pool: ThreadPool
    ) -> None:
        ended = asyncio.Event()

        @pool.function
        async def never() -> None:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ended.set()

        co = pool.create("host.never()")
        step = asyncio.ensure_future(co.resume())
        await until(lambda: pool.statistics().paused == 1)
        step.cancel()
        async with asyncio.timeout(10):
            await ended.wait()
        await at_rest(pool)
        assert co.status == "destroyed"

    async def test_a_coroutine_is_freed_whose_arguments_are_refused_after_the_cancelling(
        self, pool: ThreadPool
    ) -> None:
        looked_at, go_on = threading.Event(), threading.Event()

        class Slow(Mapping[str, object]):
            """Is read on the pool thread, until the test lets it go on."""

            def __iter__(self) -> Iterator[str]:
                looked_at.set()
                go_on.wait(10)
                return iter("a")

            def __getitem__(self, key: str) -> object:
                return set()

            def __len__(self) -> int:
                return 1

        co = pool.create(ECHO)
        await co.resume()
        step = asyncio.ensure_future(co.resume(Slow()))
        await until(looked_at.is_set)
        step.cancel()
        await asyncio.wait([step])
        go_on.set()
        await at_rest(pool)
        assert co.status == "destroyed"


class TestClosingThePool:
    async def test_it_ends_those_that_wait_and_does_not_wait_for_them(self, lua: str) -> None:
        async with ThreadPool("closing", threads=2, lua=lua) as pool:
            created, yielded, succeeded = map(pool.create, (ECHO, ECHO, ""))
            await yielded.resume()
            await succeeded.resume()
        assert (created.status, yielded.status) == ("destroyed", "destroyed")
        assert succeeded.status == "success"
        for co in (created, yielded):
            with pytest.raises(PoolClosedError, match='thread pool "closing" is closed'):
                await co.resume()
            await co.close()
        with pytest.raises(PoolClosedError, match='thread pool "closing" is closed'):
            pool.create(ECHO)

    async def test_it_closes_to_be_closed_variables(
        self, lua_that_closes: str, tmp_path: Path
    ) -> None:
        trace = tmp_path / "trace"
        chunk = """
            local path = ...
            local function close() io.open(path, 'w'):close() end
            local value <close> = setmetatable({}, {__close = close})
            coroutine.yield()
        """
        async with ThreadPool("closing", threads=1, lua=lua_that_closes) as pool:
            co = pool.create(chunk)
            await co.resume(str(trace))
            assert not trace.exists()
        assert trace.exists()

    async def test_a_resume_that_runs_gets_its_value_first(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        only = gate()
        pool = ThreadPool("closing", threads=1, lua=lua)
        await pool.open()
        co = pool.create(f"{blocks_at(only)} coroutine.yield('yielded')")
        step = asyncio.ensure_future(co.resume())
        await only.entered()
        closing = asyncio.ensure_future(pool.aclose())
        await asyncio.sleep(0)
        assert not closing.done()
        only.open()
        assert await step == "yielded"
        async with asyncio.timeout(10):
            await closing
        assert co.status == "destroyed"

    async def test_with_a_time_limit_it_ends_a_resume_that_takes_longer(self, lua: str) -> None:
        event = asyncio.Event()
        pool = ThreadPool("closing", threads=1, lua=lua, functions={"wait": event.wait})
        await pool.open()
        co = pool.create("host.wait()")
        step = asyncio.ensure_future(co.resume())
        await until(lambda: pool.statistics().paused == 1)
        async with asyncio.timeout(10):
            await pool.aclose(timeout=0)
        with pytest.raises(PoolClosedError, match='"closing" was closed before'):
            await step
        assert co.status == "destroyed"


async def test_one_that_fails_after_refused_arguments_has_failed(pool: ThreadPool) -> None:
    coroutine = pool.create("error('later')")
    with pytest.raises(MarshalError):
        await coroutine.resume({1})
    assert coroutine.status == "created"
    with pytest.raises(LuaError, match="later"):
        await coroutine.resume(1)
    assert coroutine.status == "failed"
