"""Tasks that yield: what goes to the loop and back, whose turn it is, and what they hold."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest

from threadpool_lua import LuaError, MarshalError, QueueFullError, ThreadPool

from .helpers import Gate, at_rest, until

request_id: ContextVar[str] = ContextVar("request_id", default="none")


class TestOnYield:
    @pytest.mark.parametrize(
        ("yielded", "arguments"),
        [
            ("", ()),
            ("nil", (None,)),
            ("'one'", ("one",)),
            ("1, nil, true, nil", (1, None, True, None)),
            ("{1, 2}, {a = {}}, 2^53", ([1, 2], {"a": {}}, 2**53)),
        ],
    )
    async def test_it_gets_the_yielded_values_as_its_arguments(
        self, pool: ThreadPool, yielded: str, arguments: Any
    ) -> None:
        heard: list[object] = []
        done = pool.submit(f"coroutine.yield({yielded})", on_yield=lambda *a: heard.append(a))
        assert await done is None
        assert heard == [arguments]

    @pytest.mark.parametrize(
        ("answer", "results"),
        [
            (None, (1, None)),
            ((), 0),
            ((None, "two"), (2, None, "two")),
            ("one", (1, "one")),
            ([1, {"a": 2}], (1, [1, {"a": 2}])),
            (({}, 2**53), (2, {}, 2**53)),
        ],
    )
    @pytest.mark.parametrize("kind", ["plain", "async"])
    async def test_what_it_returns_is_what_yield_returns_and_a_tuple_is_several_values(
        self, pool: ThreadPool, kind: str, answer: Any, results: Any
    ) -> None:
        def plain() -> Any:
            return answer

        async def slow() -> Any:
            await asyncio.sleep(0)
            return answer

        chunk = """
            local function counted(...) return select('#', ...), ... end
            return counted(coroutine.yield())
        """
        assert await pool.submit(chunk, on_yield=plain if kind == "plain" else slow) == results

    async def test_each_yield_of_a_task_goes_to_it_in_order(self, pool: ThreadPool) -> None:
        heard: list[int] = []

        def add(i: int) -> int:
            heard.append(i)
            return 2 * i

        chunk = "local sum = 0 for i = 1, 200 do sum = sum + coroutine.yield(i) end return sum"
        assert await pool.submit(chunk, on_yield=add) == 40200
        assert heard == list(range(1, 201))

    async def test_it_is_called_on_the_loop(self, pool: ThreadPool) -> None:
        def where() -> bool:
            asyncio.get_running_loop()
            return threading.current_thread() is threading.main_thread()

        assert await pool.submit("return coroutine.yield()", on_yield=where) is True

    async def test_what_it_returns_is_awaited_if_it_can_be(self, pool: ThreadPool) -> None:
        double = "return 2 * ..."
        quadruple = "return coroutine.yield(coroutine.yield(...))"
        on_yield: Callable[[int], object] = lambda n: pool.submit(double, n)  # noqa: E731
        assert await pool.submit(quadruple, 10, on_yield=on_yield) == 40

    @pytest.mark.parametrize("kind", ["plain", "async"])
    async def test_it_has_the_context_of_who_submitted(self, pool: ThreadPool, kind: str) -> None:
        def plain() -> str:
            before = request_id.get()
            request_id.set("the handler's")  # which is nobody else's affair
            return before

        async def slow() -> str:
            await asyncio.sleep(0)
            return plain()

        async def submit(name: str) -> tuple[object, str]:
            request_id.set(name)
            chunk = "return coroutine.yield()"
            result = await pool.submit(chunk, on_yield=plain if kind == "plain" else slow)
            return result, request_id.get()

        names = [f"request {i}" for i in range(10)]
        assert await asyncio.gather(*map(submit, names)) == [(name, name) for name in names]
        assert request_id.get() == "none"

    @pytest.mark.parametrize("kind", ["plain", "async"])
    async def test_its_exception_ends_the_task_and_no_pcall_catches_it(
        self, pool: ThreadPool, kind: str
    ) -> None:
        error = ValueError("no")

        def plain() -> None:
            raise error

        async def slow() -> None:
            await asyncio.sleep(0)
            raise error

        chunk = "pcall(coroutine.yield) return 'caught'"
        with pytest.raises(ValueError, match="no") as caught:
            await pool.submit(chunk, on_yield=plain if kind == "plain" else slow)
        assert caught.value is error
        await at_rest(pool)
        assert await pool.submit("return 'fine'") == "fine"

    @pytest.mark.parametrize("kind", ["plain", "async"])
    async def test_a_handler_that_was_cancelled_cancels_its_task(
        self, pool: ThreadPool, kind: str
    ) -> None:
        noise: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, event: noise.append(event))

        def plain() -> None:
            raise asyncio.CancelledError

        async def slow() -> None:
            raise asyncio.CancelledError

        future = pool.submit("coroutine.yield()", on_yield=plain if kind == "plain" else slow)
        await asyncio.wait([future], timeout=10)
        assert future.cancelled()
        await at_rest(pool)
        assert noise == []

    async def test_cancelling_the_task_cancels_the_handler_that_it_waits_for(
        self, pool: ThreadPool
    ) -> None:
        ended: list[str] = []

        async def never() -> None:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        future = pool.submit("coroutine.yield()", on_yield=never)
        await until(lambda: pool.statistics().paused == 1)
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future
        await until(lambda: ended == ["cancelled"])
        await at_rest(pool)
        assert pool.statistics().paused == 0

    async def test_a_handler_may_cancel_its_own_task(self, pool: ThreadPool) -> None:
        future = pool.submit("coroutine.yield() error('went on')", on_yield=lambda: future.cancel())
        with pytest.raises(asyncio.CancelledError):
            await future
        await at_rest(pool)

    async def test_large_values_cross_both_ways(self, pool: ThreadPool) -> None:
        large = [list(range(50_000)), "x" * 1_000_000]
        chunk = "return coroutine.yield(...)"
        assert await pool.submit(chunk, large, on_yield=lambda value: (value, "end")) == (
            large,
            "end",
        )

    async def test_without_an_encoding_strings_arrive_as_bytes(self, lua: str) -> None:
        async with ThreadPool("bytes", threads=1, lua=lua, encoding=None) as pool:
            result = await pool.submit(
                "return coroutine.yield('\\255')", on_yield=lambda data: data + b"\xfe"
            )
            assert result == b"\xff\xfe"


class TestRefusals:
    async def test_what_cannot_be_called_is_refused_at_once(self, pool: ThreadPool) -> None:
        with pytest.raises(TypeError, match="on_yield cannot be called: 'print'"):
            pool.submit("return 1", on_yield="print")  # type: ignore[arg-type]
        assert pool.statistics().in_flight == 0

    async def test_a_yielded_value_that_cannot_cross_ends_the_task(self, pool: ThreadPool) -> None:
        with pytest.raises(MarshalError, match=r"^yielded value 2: cannot pass a function$"):
            await pool.submit("coroutine.yield(1, print)", on_yield=lambda *_: None)
        await at_rest(pool)

    async def test_an_answer_that_cannot_cross_ends_the_task(self, pool: ThreadPool) -> None:
        with pytest.raises(MarshalError, match=r"^on_yield: \w+ 2: \['a'\]: cannot pass a set$"):
            await pool.submit("pcall(coroutine.yield) return 1", on_yield=lambda: (1, {"a": set()}))
        await at_rest(pool)

    async def test_functions_of_c_that_call_back_cannot_be_paused_in(
        self, pool: ThreadPool
    ) -> None:
        chunk = "table.sort({2, 1}, function(a, b) coroutine.yield() return a < b end)"
        with pytest.raises(LuaError, match="attempt to yield across .*inside a function of C"):
            await pool.submit(chunk, on_yield=lambda: None)


class TestWhereATaskYields:
    async def test_in_calls_in_pcall_in_iterators_and_in_metamethods(
        self, pool: ThreadPool
    ) -> None:
        chunk = """
            local yield = coroutine.yield
            local function deep(n) if n == 0 then return yield('deep') end return (deep(n - 1)) end
            local results = {deep(50), select(2, pcall(yield, 'pcall'))}
            for value in function(_, last) if not last then return yield('iterator') end end do
              results[3] = value
            end
            local mt = {__add = function() return yield('metamethod') end}
            results[4] = setmetatable({}, mt) + 1
            return results
        """
        result = await pool.submit(chunk, on_yield=str.upper)
        assert result == ["DEEP", "PCALL", "ITERATOR", "METAMETHOD"]

    async def test_what_a_coroutine_of_its_own_yields_goes_to_who_resumed_that(
        self, pool: ThreadPool
    ) -> None:
        chunk = """
            local sum = 0
            for i in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) do
              sum = sum + coroutine.yield(i)
            end
            return sum
        """
        assert await pool.submit(chunk, on_yield=lambda i: 10 * i) == 60

    async def test_a_function_of_a_module_can_yield(self, lua: str) -> None:
        init = "package.loaded.m = {f = function(n) coroutine.yield() return n + 1 end}"
        async with ThreadPool("module", threads=1, lua=lua, init=init) as pool:
            assert await pool.call("m", "f", 1) == 2

    async def test_an_error_after_a_yield_has_its_place(self, pool: ThreadPool) -> None:
        with pytest.raises(LuaError, match=":2: late") as caught:
            await pool.submit("coroutine.yield()\nerror('late')")
        assert caught.value.line == 2
        assert ":2: in " in caught.value.traceback

    async def test_tasks_that_pause_side_by_side_keep_their_globals_apart(self, lua: str) -> None:
        chunk = """
            x = ...
            coroutine.yield();
            (loadstring or load)('y = x')() -- loaded code, too, belongs to the task
            coroutine.yield()
            return x, y
        """
        async with ThreadPool("one", threads=1, lua=lua) as pool:
            results = await asyncio.gather(*(pool.submit(chunk, i) for i in range(50)))
            assert results == [(i, i) for i in range(50)]
            assert await pool.submit("return x, y") == (None, None)


class TestTurns:
    async def test_without_a_handler_yield_returns_nothing_and_any_value_will_do(
        self, pool: ThreadPool
    ) -> None:
        chunk = "return select('#', coroutine.yield(print, coroutine.create(print)))"
        assert await pool.submit(chunk) == 0

    async def test_a_task_that_yields_goes_on_after_all_that_was_ready_before(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        turns = "for i = 1, 3 do order[#order + 1] = ... .. i coroutine.yield() end"
        once = "order[#order + 1] = ..."
        async with ThreadPool("turns", threads=1, lua=lua, init="order = {}") as pool:
            # So that all are ready before the first one begins.
            only = gate()
            blocked = pool.submit(only.chunk)
            await only.entered()
            tasks = [pool.submit(turns, "a"), pool.submit(turns, "b"), pool.submit(once, "c")]
            only.open()
            await asyncio.gather(blocked, *tasks)
            order = await pool.submit("return order")
        assert order == ["a1", "b1", "c", "a2", "b2", "a3", "b3"]

    @pytest.mark.parametrize("threads", [1, 3])
    async def test_tasks_that_yield_for_ever_starve_nobody(self, lua: str, threads: int) -> None:
        async with ThreadPool("fair", threads=threads, lua=lua) as pool:
            forever = [pool.submit("while true do coroutine.yield() end") for _ in range(5)]
            async with asyncio.timeout(30):
                for i in range(50):
                    assert await pool.submit("return ...", i) == i
                    assert await pool.submit("coroutine.yield() return ...", i) == i
            assert not any(future.done() for future in forever)
            for future in forever:
                future.cancel()
            await at_rest(pool)


class TestWhatAPausedTaskHolds:
    async def test_neither_a_thread_nor_a_state(self, lua: str) -> None:
        event = asyncio.Event()

        async def wait(i: int) -> int:
            await event.wait()
            return i

        async with ThreadPool("one", threads=1, states=1, lua=lua) as pool:
            chunk = "return coroutine.yield(...)"
            waiting = [pool.submit(chunk, i, on_yield=wait) for i in range(500)]
            await until(lambda: pool.statistics().paused == 500)
            assert await pool.submit("return 'meanwhile'") == "meanwhile"
            await until(lambda: pool.statistics().busy == 0)
            statistics = pool.statistics()
            assert (statistics.states, statistics.coroutines) == (1, 500)
            assert (statistics.in_flight, statistics.paused) == (0, 500)
            event.set()
            assert await asyncio.gather(*waiting) == list(range(500))
            await at_rest(pool)

    async def test_no_place_in_the_queue(self, lua: str) -> None:
        event = asyncio.Event()
        async with ThreadPool("strict", threads=1, max_queue=0, lua=lua) as pool:
            waiting = []
            for i in range(20):
                await pool.room()
                waiting.append(pool.submit("coroutine.yield()", on_yield=event.wait))
                await until(lambda i=i: pool.statistics().paused == i + 1)
            assert await pool.submit("return 'room'") == "room"
            event.set()
            assert await asyncio.gather(*waiting) == [None] * 20

    async def test_going_on_is_never_refused_and_counts_as_queued(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        event = asyncio.Event()
        async with ThreadPool("strict", threads=1, max_queue=1, lua=lua) as pool:
            waiting = pool.submit("return coroutine.yield()", on_yield=event.wait)
            await until(lambda: pool.statistics().paused == 1)
            only = gate()
            blocked = pool.submit(only.chunk)
            await only.entered()
            queued = pool.submit("return 'queued'")
            event.set()
            await until(lambda: pool.statistics().paused == 0)
            with pytest.raises(QueueFullError, match="2 tasks waiting"):
                pool.submit("return 1")
            only.open()
            assert await asyncio.gather(waiting, blocked, queued) == [True, "through", "queued"]

    async def test_closing_the_pool_waits_for_it(self, lua: str) -> None:
        event = asyncio.Event()
        pool = ThreadPool("closing", threads=1, lua=lua)
        await pool.open()
        chunk = "return coroutine.yield(), coroutine.yield()"
        waiting = pool.submit(chunk, on_yield=event.wait)
        await until(lambda: pool.statistics().paused == 1)
        closing = asyncio.ensure_future(pool.aclose())
        await asyncio.sleep(0)
        assert not closing.done()
        event.set()
        async with asyncio.timeout(10):
            await closing
        assert waiting.result() == (True, True)

    async def test_closing_the_pool_waits_for_one_that_pauses_as_another_ends(
        self, lua: str
    ) -> None:
        event, all_have_run = asyncio.Event(), threading.Event()
        pool = ThreadPool("closing", threads=1, lua=lua, functions={"last": all_have_run.set})
        await pool.open()
        closing = asyncio.ensure_future(pool.aclose())
        failing = pool.submit("coroutine.yield()", on_yield=lambda: 1 / 0)
        waiting = pool.submit("return coroutine.yield()", on_yield=event.wait)
        last = pool.submit("host.last()")
        # This blocks the loop, so that it hears of all of them at once.
        assert all_have_run.wait(10)
        async with asyncio.timeout(10):
            with pytest.raises(ZeroDivisionError):
                await failing
            await last
            assert not closing.done()
            event.set()
            await closing
        assert waiting.result() is True
