"""Mapping a chunk over an iterable: ``pool.map``."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import threading
import tracemalloc
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing, suppress
from typing import Any

import pytest

from threadpool_lua import (
    Chunk,
    LuaError,
    LuaSyntaxError,
    MarshalError,
    PoolClosedError,
    ThreadPool,
    ThreadPoolError,
)

from .helpers import Gate, at_rest, until

in_both_orders = pytest.mark.parametrize("ordered", [True, False])


async def asynchronous(items: Iterable[Any]) -> AsyncIterator[Any]:
    """Give the items with a turn of the loop between them, now and then."""
    for i, item in enumerate(items):
        if i % 3 == 0:
            await asyncio.sleep(0)
        yield item


async def collect(results: AsyncIterator[Any]) -> tuple[list[Any], Exception | None]:
    """Return all results, and the error that came in the place of the next, if one did."""
    collected = []
    try:
        async for result in results:
            collected.append(result)
    except Exception as error:
        return collected, error
    return collected, None


async def error_of_submit(pool: ThreadPool, chunk: str | Chunk, item: object) -> Exception:
    (error,) = await asyncio.gather(pool.submit(chunk, item), return_exceptions=True)
    assert isinstance(error, Exception)
    return error


class Source:
    """An iterable that counts how many items have been taken from it."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = iter(items)
        self.taken = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        item = next(self._items)
        self.taken += 1
        return item


class TestResults:
    @pytest.mark.parametrize("make", [iter, asynchronous, list, tuple])
    @pytest.mark.parametrize("count", [0, 1, 2, 3000])
    async def test_they_come_in_the_order_of_the_items(
        self, pool: ThreadPool, make: Callable[..., Any], count: int
    ) -> None:
        results = pool.map("return 2 * ...", make(range(count)))
        assert [result async for result in results] == list(range(0, 2 * count, 2))
        await at_rest(pool)

    @pytest.mark.parametrize("make", [iter, asynchronous])
    @pytest.mark.parametrize("in_flight", [1, 2, 7, 100_000])
    async def test_unordered_they_are_all_there(
        self, pool: ThreadPool, make: Callable[..., Any], in_flight: int
    ) -> None:
        results = pool.map("return ...", make(range(2000)), ordered=False, in_flight=in_flight)
        assert sorted([result async for result in results]) == list(range(2000))
        await at_rest(pool)

    @in_both_orders
    async def test_what_blocks_holds_back_what_comes_after_it_only_in_order(
        self, pool: ThreadPool, gate: Callable[[], Gate], ordered: bool
    ) -> None:
        only = gate()
        source = f"""
            local i = ...
            if i == 0 then io.open({str(only.path)!r}):read('*a') end
            return i
        """
        results = pool.map(source, range(100), ordered=ordered)
        first = asyncio.ensure_future(anext(results))
        await only.entered()
        if ordered:
            # Those after it get done meanwhile.
            await until(lambda: pool.statistics().in_flight == 1)
            assert not first.done()
            only.open()
            assert [await first] + [result async for result in results] == list(range(100))
        else:
            others = [await first] + [await anext(results) for _ in range(98)]
            assert sorted(others) == list(range(1, 100))
            only.open()
            assert [result async for result in results] == [0]

    @in_both_orders
    async def test_they_have_the_form_that_submit_gives(
        self, pool: ThreadPool, ordered: bool
    ) -> None:
        sources = [
            "return",
            "return nil",
            "return nil, nil",
            "return 1, nil, 'x', nil",
            "return {}, {1, null}, {k = list {}}",
            "return null",
            "return {{}, {null}}",
            "return 1, null",
            "return false",
            "return ('x'):rep(600000)",
            "return ('x'):rep(600000), nil",
            "local t = {} for i = 1, 97 do t = {t} end return t",
        ]
        chunk = "return (loadstring or load)(...)()"
        expected = [await pool.submit(source) for source in sources]
        results = [result async for result in pool.map(chunk, sources * 20, ordered=ordered)]
        if ordered:
            assert results == expected * 20
        assert sorted(map(repr, results)) == sorted(map(repr, expected * 20))

    async def test_items_arrive_as_arguments_do(self, pool: ThreadPool) -> None:
        items = [None, True, 1, -0.5, "ü", {"k": [None, {}]}, [], [1, 2], 2**53, "x" * 300_000]
        results = pool.map("return select('#', ...), type((...)), ...", items * 20)
        expected = [
            await pool.submit("return select('#', ...), type((...)), ...", i) for i in items
        ]
        assert [result async for result in results] == expected * 20

    async def test_none_is_an_item_like_any_other(self, pool: ThreadPool) -> None:
        results = pool.map("local x = ... if x then return x end", [None, 1, None, None, 2] * 50)
        assert [result async for result in results] == [None, 1, None, None, 2] * 50

    async def test_a_tuple_is_one_item(self, pool: ThreadPool) -> None:
        results = pool.map("local pair, other = ... return pair[1], pair[2], other", [(1, 2)] * 2)
        assert [result async for result in results] == [(1, 2, None)] * 2

    async def test_with_encoding_none_strings_are_bytes(self, lua: str) -> None:
        async with ThreadPool("raw", threads=1, lua=lua, encoding=None) as pool:
            results = pool.map(r"return '\255' .. ..., {...}", [b"\xfe"] * 3)
            assert [result async for result in results] == [(b"\xff\xfe", [b"\xfe"])] * 3

    async def test_each_item_has_globals_of_its_own(self, lua: str) -> None:
        async with ThreadPool("one", threads=1, lua=lua, init="shared = 'init'") as pool:
            source = "local before = x x = ... _G.y = ... shared = ... return before, y, x"
            results = [result async for result in pool.map(source, range(500))]
            assert results == [(None, i, i) for i in range(500)]
            assert await pool.submit("return x, y, shared") == (None, None, "init")

    async def test_other_tasks_get_their_turn(self, lua: str) -> None:
        async with (
            asyncio.timeout(10),
            ThreadPool("one", threads=1, lua=lua) as pool,
            aclosing(pool.map("return ...", itertools.count())) as results,
        ):
            for i in range(20):
                assert await anext(results) == i
                assert await pool.submit("return 'other'") == "other"

    async def test_several_maps_run_side_by_side(self, pool: ThreadPool) -> None:
        async def total(first: int) -> int:
            items = range(first, first + 1000)
            return sum([result async for result in pool.map("return ...", items, in_flight=50)])

        totals = await asyncio.gather(*(total(i) for i in range(5)))
        assert totals == [sum(range(i, i + 1000)) for i in range(5)]

    @in_both_orders
    async def test_a_tiny_queue_is_room_enough(self, lua: str, ordered: bool) -> None:
        for max_queue in (0, 1):
            async with ThreadPool("tiny", threads=1, max_queue=max_queue, lua=lua) as pool:
                async with asyncio.timeout(30):
                    results = pool.map("return ...", range(1000), ordered=ordered)
                    assert [result async for result in results] == list(range(1000))
                    source = "coroutine.yield() return ..."
                    results = pool.map(source, asynchronous(range(100)), ordered=ordered)
                    assert sorted([result async for result in results]) == list(range(100))


class TestLaziness:
    @in_both_orders
    @pytest.mark.parametrize("in_flight", [1, 2, 10, 1024])
    async def test_no_more_than_in_flight_are_taken_beyond_those_consumed(
        self, pool: ThreadPool, ordered: bool, in_flight: int
    ) -> None:
        source = Source(itertools.count())
        results = pool.map("return ...", source, ordered=ordered, in_flight=in_flight)
        assert source.taken == 0, "nothing is taken before the first result is asked for"
        async with aclosing(results):
            for consumed in range(1, 2000):
                await anext(results)
                assert source.taken <= consumed + in_flight
                if consumed % 100 == 0:
                    await asyncio.sleep(0.001)
                    assert source.taken <= consumed + in_flight

    async def test_as_many_are_taken_while_the_consumer_is_busy(self, pool: ThreadPool) -> None:
        source = Source(itertools.count())
        async with aclosing(pool.map("return ...", source, in_flight=10)) as results:
            await anext(results)
            # The one that has been consumed has made place for one more.
            await until(lambda: source.taken == 11)

    async def test_asynchronous_iterables_are_read_as_lazily(self, pool: ThreadPool) -> None:
        source = Source(itertools.count())
        async with aclosing(pool.map("return ...", asynchronous(source), in_flight=10)) as results:
            for consumed in range(1, 500):
                await anext(results)
                assert source.taken <= consumed + 10

    async def test_generators_without_end_can_be_mapped(self, pool: ThreadPool) -> None:
        squares = pool.map("local i = ... return i * i", itertools.count())
        found = None
        async with aclosing(squares):
            async for square in squares:
                if square > 1_000_000:
                    found = square
                    break
        assert found == 1001**2
        await at_rest(pool)

    @in_both_orders
    async def test_what_has_been_consumed_is_let_go_of(
        self, pool: ThreadPool, ordered: bool
    ) -> None:
        size, count = 2000, 10_000
        results = pool.map(
            f"return ('x'):rep({size}) .. ...",
            map(str, range(count)),
            ordered=ordered,
            in_flight=100,
        )
        await anext(results)
        tracemalloc.start()
        try:
            async for _ in results:
                pass
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < size * count / 4

    @in_both_orders
    async def test_a_source_that_takes_its_time_does_not_hold_back_results(
        self, pool: ThreadPool, ordered: bool
    ) -> None:
        go_on = asyncio.Event()

        async def slow() -> AsyncIterator[int]:
            # So many quick ones that several are put together from then on.
            for i in range(2000):
                yield i
            yield 2000
            yield 2001
            await go_on.wait()
            yield 2002

        results = pool.map("return ...", slow(), ordered=ordered)
        async with asyncio.timeout(10):
            first = [await anext(results) for _ in range(2002)]
            assert sorted(first) == list(range(2002))
            go_on.set()
            assert [result async for result in results] == [2002]


class TestPausing:
    """Items whose tasks pause."""

    @in_both_orders
    @pytest.mark.parametrize("threads", [1, 2])
    async def test_they_wait_side_by_side(self, lua: str, ordered: bool, threads: int) -> None:
        count = 300
        everybody = asyncio.Event()
        arrived = 0

        async def arrive() -> None:
            nonlocal arrived
            arrived += 1
            if arrived == count:
                everybody.set()
            await everybody.wait()

        functions = {"arrive": arrive}
        async with ThreadPool("side", threads=threads, lua=lua, functions=functions) as pool:
            async with asyncio.timeout(30):
                results = pool.map(
                    "host.arrive() return ...", range(count), ordered=ordered, in_flight=count
                )
                assert sorted([result async for result in results]) == list(range(count))
            await at_rest(pool)

    async def test_no_more_than_in_flight_do(self, lua: str) -> None:
        waiting, most = 0, 0

        async def wait() -> None:
            nonlocal waiting, most
            waiting += 1
            most = max(most, waiting)
            for _ in range(5):
                await asyncio.sleep(0)
            waiting -= 1

        async with ThreadPool("few", threads=2, lua=lua, functions={"wait": wait}) as pool:
            results = pool.map("host.wait() return ...", range(200), in_flight=20)
            assert [result async for result in results] == list(range(200))
        assert most <= 20

    async def test_unordered_those_that_are_done_first_come_first(self, lua: str) -> None:
        answers = [asyncio.get_running_loop().create_future() for _ in range(5)]

        async def ask(i: int) -> int:
            return int(await answers[i])

        async with ThreadPool("first", threads=1, lua=lua, functions={"ask": ask}) as pool:
            results = pool.map("return host.ask(...)", range(5), ordered=False)
            async with asyncio.timeout(10):
                for i in (3, 0, 4, 2, 1):
                    answers[i].set_result(i)
                    assert await anext(results) == i

    @in_both_orders
    async def test_some_may_pause_among_many_that_do_not(self, lua: str, ordered: bool) -> None:
        async def later(x: int) -> int:
            await asyncio.sleep(0)
            return x

        source = """
            local i = ...
            if i % 50 == 7 then return host.later(i) end
            if i % 50 == 8 then coroutine.yield('dropped') end
            if i % 50 == 9 then return i, host.later(nil) end
            return i
        """
        expected = [(i, None) if i % 50 == 9 else i for i in range(2000)]
        async with ThreadPool("some", threads=2, lua=lua, functions={"later": later}) as pool:
            results = [result async for result in pool.map(source, range(2000), ordered=ordered)]
            if not ordered:
                results.sort(key=lambda result: result[0] if type(result) is tuple else result)
            assert results == expected
            await at_rest(pool)

    async def test_globals_stay_those_of_the_item(self, lua: str) -> None:
        async def later() -> None:
            await asyncio.sleep(0)

        source = "x = ... host.later() local first = x x = x + 1 host.later() return first, x"
        async with ThreadPool("one", threads=1, lua=lua, functions={"later": later}) as pool:
            results = [result async for result in pool.map(source, range(300))]
        assert results == [(i, i + 1) for i in range(300)]


class TestErrors:
    @pytest.mark.parametrize("make", [iter, asynchronous])
    @pytest.mark.parametrize("place", [0, 1, 700, 1999])
    async def test_one_is_raised_in_its_place_after_the_results_before_it(
        self, pool: ThreadPool, make: Callable[..., Any], place: int
    ) -> None:
        source = "local i, place = (...)[1], (...)[2]\nif i == place then error('no') end\nreturn i"
        chunk = Chunk(source, name="plugin")
        items = make([(i, place) for i in range(2000)])
        results, error = await collect(pool.map(chunk, items))
        assert results == list(range(place))
        assert isinstance(error, LuaError)
        assert (str(error), error.line) == ("plugin:2: no", 2)
        assert "plugin:2:" in error.traceback
        await at_rest(pool)

    async def test_unordered_one_ends_the_iteration(self, pool: ThreadPool) -> None:
        source = "if ... == 700 then error('no', 0) end return ..."
        results, error = await collect(pool.map(source, range(2000), ordered=False))
        assert str(error) == "no"
        assert len(set(results)) == len(results) < 2000 and 700 not in results
        await at_rest(pool)

    async def test_the_iteration_has_ended_with_it(self, pool: ThreadPool) -> None:
        results = pool.map("error('no')", range(10))
        with pytest.raises(LuaError):
            await anext(results)
        with pytest.raises(StopAsyncIteration):
            await anext(results)

    @pytest.mark.parametrize("ahead", [0, 1, 1500])
    @pytest.mark.parametrize(
        "bad", [{1}, [1, {"k": object()}], 10**30, "\ud800", {None: 1}], ids=repr
    )
    async def test_an_item_that_cannot_cross_is_refused_in_its_place_as_submit_does(
        self, pool: ThreadPool, ahead: int, bad: object
    ) -> None:
        results, error = await collect(pool.map("return ...", [*range(ahead), bad, *range(9)]))
        assert results == list(range(ahead))
        expected = await error_of_submit(pool, "return ...", bad)
        assert type(error) is MarshalError
        assert str(error) == str(expected)

    @pytest.mark.parametrize("ahead", [0, 1, 1500])
    @pytest.mark.parametrize(
        "bad",
        [
            "return print",
            "return 1, {k = {1, print}}",
            r"return '\255'",
            r"return 1, {'x', '\255'}",
            "local t = {} t[1] = t return t",
        ],
    )
    async def test_a_result_that_cannot_cross_is_refused_in_its_place_as_submit_does(
        self, pool: ThreadPool, ahead: int, bad: str
    ) -> None:
        chunk = "return (loadstring or load)(...)()"
        items = [*[f"return {i}" for i in range(ahead)], bad, *["return 'after'"] * 9]
        results, error = await collect(pool.map(chunk, items))
        assert results == list(range(ahead))
        expected = await error_of_submit(pool, chunk, bad)
        assert type(error) is type(expected)
        assert str(error) == str(expected)

    async def test_no_item_runs_twice(self, lua: str) -> None:
        """Not even where one beside it cannot cross."""
        async with ThreadPool("one", threads=1, lua=lua) as pool:
            await pool.submit("package.loaded.counts = {n = 0}")
            source = r"""
                local counts, i = require 'counts', ...
                if type(i) == 'number' then counts[i] = (counts[i] or 0) + 1 end
                if i == 900 then return '\255' end
                return i
            """
            for items in (range(1000), [*range(800), {1}]):
                results, error = await collect(pool.map(source, items))
                assert type(error) is MarshalError
                counts = await pool.submit("return require 'counts'")
                assert all(counts[i] == 1 for i in results)
                await pool.submit("package.loaded.counts = {n = 0}")

    async def test_what_a_host_function_raises_is_the_exception(self, lua: str) -> None:
        raised = {i: ValueError(str(i)) for i in range(100)}

        def plain(i: int) -> None:
            raise raised[i]

        async def later(i: int) -> None:
            await asyncio.sleep(0)
            raise raised[i]

        functions: dict[str, Callable[..., Any]] = {"plain": plain, "later": later}
        async with ThreadPool("raises", threads=2, lua=lua, functions=functions) as pool:
            for name in functions:
                source = f"if ... >= 60 then host.{name}(...) end return ..."
                results, error = await collect(pool.map(source, range(100)))
                assert results == list(range(60))
                assert error is raised[60]
            await at_rest(pool)

    async def test_code_that_does_not_compile(self, pool: ThreadPool) -> None:
        results, error = await collect(pool.map("return (", range(10)))
        assert results == [] and type(error) is LuaSyntaxError

    async def test_init_that_fails(self, lua: str) -> None:
        async with ThreadPool("init", threads=1, lua=lua, init="error('no')") as pool:
            results, error = await collect(pool.map("return 1", range(10)))
            expected = await error_of_submit(pool, "return 1", None)
        assert results == [] and type(error) is type(expected) and str(error) == str(expected)

    @in_both_orders
    @pytest.mark.parametrize("is_async", [False, True])
    @pytest.mark.parametrize("count", [0, 1, 3, 2000])
    async def test_an_error_of_the_iterable_comes_after_the_results_before_it(
        self, pool: ThreadPool, ordered: bool, is_async: bool, count: int
    ) -> None:
        raised = OSError("the file is gone")

        def items() -> Iterator[int]:
            yield from range(count)
            raise raised

        source: Any = asynchronous(items()) if is_async else items()
        results, error = await collect(pool.map("return ...", source, ordered=ordered))
        assert sorted(results) == list(range(count))
        assert error is raised
        await at_rest(pool)

    async def test_an_iterable_that_cannot_be_begun_says_so(self, pool: ThreadPool) -> None:
        class Broken:
            def __iter__(self) -> Iterator[int]:
                raise OSError("no")

        _, error = await collect(pool.map("return ...", Broken()))
        assert isinstance(error, OSError)

    @pytest.mark.parametrize(
        ("arguments", "options", "error"),
        [
            (("return 1", 7), {}, TypeError),
            (("return 1", None), {}, TypeError),
            (("return 1", []), {"in_flight": 0}, ValueError),
            (("return 1", []), {"in_flight": -1}, ValueError),
            (("return 1", []), {"in_flight": 1.5}, TypeError),
            (("return 1", []), {"in_flight": True}, TypeError),
        ],
    )
    async def test_misuse_is_refused_at_once(
        self, pool: ThreadPool, arguments: Any, options: Any, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            pool.map(*arguments, **options)

    async def test_what_is_neither_source_nor_chunk_is_refused(self, pool: ThreadPool) -> None:
        for chunk in (7, None, ["return 1"], b"return 1"):
            with pytest.raises(TypeError, match="Lua source .str. or a Chunk, not"):
                async for _ in pool.map(chunk, [1]):  # type: ignore[arg-type]
                    pass

    @in_both_orders
    async def test_nobody_hears_of_errors_after_the_first(
        self, pool: ThreadPool, ordered: bool
    ) -> None:
        noise: list[object] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: noise.append(context)
        )

        def items() -> Iterator[int]:
            yield from range(50)
            raise OSError("the file is gone")

        for source in (items(), asynchronous(items())):
            results, error = await collect(
                pool.map("error('no ' .. ..., 0)", source, ordered=ordered)
            )
            assert results == [] and isinstance(error, LuaError)
            await at_rest(pool)
            del error
            gc.collect()
            await asyncio.sleep(0)
        assert noise == []


class TestLeaving:
    @in_both_orders
    async def test_break_cancels_what_is_left(
        self, lua: str, gate: Callable[[], Gate], ordered: bool
    ) -> None:
        async with ThreadPool("one", threads=1, lua=lua) as pool:
            await pool.submit("package.loaded.last = {}")
            only = gate()
            source = f"""
                local i = ...
                require('last')[1] = i
                if i == 2 then io.open({str(only.path)!r}):read('*a') end
                return i
            """
            results = pool.map(source, range(100), ordered=ordered)
            async for result in results:
                if result == 1:
                    await only.entered()
                    break
            await results.aclose()
            only.open()
            await at_rest(pool)
            assert await pool.submit("return require('last')[1]") == 2

    @in_both_orders
    async def test_a_dropped_iterator_ends_by_itself(self, lua: str, ordered: bool) -> None:
        waiting, cancelled = 0, 0

        async def wait() -> None:
            nonlocal waiting, cancelled
            waiting += 1
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1
                raise

        async with ThreadPool("drop", threads=1, lua=lua, functions={"wait": wait}) as pool:
            source = "if ... > 0 then host.wait() end return ..."
            async for result in pool.map(source, range(100), ordered=ordered):
                assert result == 0
                await until(lambda: waiting == 99)
                break
            await at_rest(pool)
            await until(lambda: cancelled == 99)

    @in_both_orders
    async def test_cancelling_the_consumer_cancels_all_that_waits(
        self, lua: str, ordered: bool
    ) -> None:
        waiting, cancelled = 0, 0

        async def wait() -> None:
            nonlocal waiting, cancelled
            waiting += 1
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1
                raise

        async with ThreadPool("cancel", threads=2, lua=lua, functions={"wait": wait}) as pool:
            consumer = asyncio.ensure_future(
                collect(pool.map("host.wait()", itertools.count(), ordered=ordered, in_flight=100))
            )
            await until(lambda: waiting == 100)
            consumer.cancel()
            with pytest.raises(asyncio.CancelledError):
                await consumer
            await at_rest(pool)
            await until(lambda: cancelled == 100)

    async def test_an_error_cancels_all_that_waits(self, lua: str) -> None:
        waiting, cancelled = 0, 0

        async def wait() -> None:
            nonlocal waiting, cancelled
            waiting += 1
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1
                raise

        async def fail() -> None:
            await until(lambda: waiting == 99)
            raise ValueError("no")

        functions = {"wait": wait, "fail": fail}
        async with ThreadPool("fails", threads=2, lua=lua, functions=functions) as pool:
            source = "if ... == 0 then host.fail() end host.wait()"
            results, error = await collect(pool.map(source, range(100), in_flight=100))
            assert results == [] and isinstance(error, ValueError)
            await at_rest(pool)
            await until(lambda: cancelled == 99)

    async def test_the_source_is_read_no_further(self, pool: ThreadPool) -> None:
        ended = asyncio.Event()

        async def endless() -> AsyncIterator[int]:
            try:
                for i in itertools.count():
                    await asyncio.sleep(0)
                    yield i
            finally:
                ended.set()

        async for _ in pool.map("return ...", endless(), in_flight=10):
            break
        async with asyncio.timeout(10):
            await ended.wait()
        await at_rest(pool)

    async def test_leaving_makes_no_noise(self, pool: ThreadPool) -> None:
        noise: list[object] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: noise.append(context)
        )

        def items() -> Iterator[int]:
            yield from range(3)
            raise OSError("the file is gone")

        for ordered in (True, False):
            for source in (items(), asynchronous(items())):
                results = pool.map("if ... > 0 then error('no') end", source, ordered=ordered)
                with suppress(LuaError):  # Unordered, an error may come first.
                    await anext(results)
                # All the rest happens while nobody asks for it.
                await at_rest(pool)
                await results.aclose()
        del results, source
        gc.collect()
        await asyncio.sleep(0)
        assert noise == []

    async def test_one_that_was_never_begun_costs_nothing(self, pool: ThreadPool) -> None:
        source = Source(range(10))
        results = pool.map("return ...", source)
        await results.aclose()
        assert source.taken == 0
        del results
        pool.map("return ...", source)
        gc.collect()
        await at_rest(pool)
        assert source.taken == 0


class TestClosedPools:
    async def test_one_that_is_not_open_maps_nothing(self, lua: str) -> None:
        pool = ThreadPool("closed", threads=1, lua=lua)
        with pytest.raises(PoolClosedError, match="is not open"):
            pool.map("return 1", [1])
        async with pool:
            begun_too_late = pool.map("return ...", range(10))
        with pytest.raises(PoolClosedError, match="is closed"):
            pool.map("return 1", [1])
        with pytest.raises(PoolClosedError, match="is closed"):
            await anext(begun_too_late)

    @in_both_orders
    @pytest.mark.parametrize("make", [iter, asynchronous])
    async def test_one_that_is_closed_meanwhile_ends_the_iteration_after_what_was_on_its_way(
        self, lua: str, ordered: bool, make: Callable[..., Any]
    ) -> None:
        async with ThreadPool("closing", threads=2, lua=lua) as pool:
            results = pool.map(
                "return ...", make(itertools.count()), ordered=ordered, in_flight=100
            )
            first = [await anext(results) for _ in range(50)]
            async with asyncio.timeout(10):
                await pool.aclose()
                rest, error = await collect(results)
            assert isinstance(error, PoolClosedError)
            everything = first + rest
            assert sorted(everything) == list(range(len(everything)))

    async def test_closing_waits_for_those_that_are_paused(self, lua: str) -> None:
        answer = asyncio.get_running_loop().create_future()
        waiting = 0

        async def ask() -> str:
            nonlocal waiting
            waiting += 1
            return str(await asyncio.shield(answer))

        async with ThreadPool("closing", threads=1, lua=lua, functions={"ask": ask}) as pool:
            consumer = asyncio.ensure_future(collect(pool.map("return host.ask()", range(20))))
            await until(lambda: waiting == 20)
            closing = asyncio.ensure_future(pool.aclose())
            await asyncio.sleep(0)
            answer.set_result("answer")
            async with asyncio.timeout(10):
                results, error = await consumer
                await closing
        assert (results, error) == (["answer"] * 20, None)

    async def test_closing_with_a_time_limit_ends_it(self, lua: str) -> None:
        async def wait() -> None:
            await asyncio.Event().wait()

        async with ThreadPool("limit", threads=1, lua=lua, functions={"wait": wait}) as pool:
            consumer = asyncio.ensure_future(collect(pool.map("host.wait()", range(20))))
            await until(lambda: pool.statistics().paused == 20)
            async with asyncio.timeout(10):
                await pool.aclose(timeout=0.01)
                results, error = await consumer
        assert results == [] and isinstance(error, ThreadPoolError)

    async def test_leaving_the_pool_by_an_exception_ends_it(self, lua: str) -> None:
        async def wait() -> None:
            await asyncio.Event().wait()

        pool = ThreadPool("error", threads=1, lua=lua, functions={"wait": wait})
        async with asyncio.timeout(10):
            with pytest.raises(KeyError):
                async with pool:
                    items: AsyncIterable[int] = asynchronous(itertools.count())
                    consumer = asyncio.ensure_future(
                        collect(pool.map("host.wait()", items, in_flight=20))
                    )
                    await until(lambda: pool.statistics().paused == 20)
                    raise KeyError
            await asyncio.wait([consumer])
        if not consumer.cancelled():
            results, error = consumer.result()
            assert results == [] and error is not None


async def test_an_error_says_for_which_item_it_is(pool: ThreadPool) -> None:
    with pytest.raises(LuaError) as caught:
        async for _ in pool.map("assert(... < 300) return ...", range(1000)):
            pass
    assert caught.value.__notes__[-1] == "in pool.map, for item 301"


async def test_batches_wait_for_room_as_others_do(lua: str) -> None:
    most = 0

    async def items() -> AsyncIterator[int]:
        nonlocal most
        for i in range(100):
            most = max(most, pool.statistics().in_flight)
            await asyncio.sleep(0)
            yield i

    async with ThreadPool("tight", threads=1, max_queue=0, lua=lua) as pool:
        assert [i async for i in pool.map("return ...", items())] == list(range(100))
    assert most <= 1


async def test_items_that_wait_for_a_batch_do_not_run_once_it_has_been_left(lua: str) -> None:
    saw: list[int] = []
    go_on = threading.Event()

    def note(i: int) -> int:
        saw.append(i)
        if i > 0:
            go_on.wait(10)
        return i

    async def items() -> AsyncIterator[int]:
        for i in range(50):
            yield i
        await asyncio.get_running_loop().create_future()

    async with ThreadPool("left", threads=1, lua=lua, functions={"note": note}) as pool:
        async with contextlib.aclosing(pool.map("return host.note(...)", items())) as results:
            assert await anext(results) == 0
            await until(lambda: saw == [0, 1])
        await asyncio.sleep(0)  # The futures that were cancelled tell whoever listens.
        await asyncio.sleep(0)
        go_on.set()
        await at_rest(pool)
    assert saw == [0, 1]
