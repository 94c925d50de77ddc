"""Host functions: the Python functions that Lua calls as ``host.NAME(...)``."""

from __future__ import annotations

import asyncio
import gc
import math
import threading
import traceback
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from threadpool_lua import Chunk, InitError, LuaError, MarshalError, ThreadPool

from .helpers import Gate, at_rest


def give(*values: Any) -> tuple[Any, ...]:
    """Return what it is called with, as several values."""
    return values


async def give_later(*values: Any) -> tuple[Any, ...]:
    await asyncio.sleep(0)
    return values


def fail(message: str = "no such user") -> None:
    raise ValueError(message)


async def fail_later(message: str = "no such user") -> None:
    await asyncio.sleep(0)
    raise ValueError(message)


# What is true of both kinds is tested with both.
both_kinds = pytest.mark.parametrize("name", ["give", "give_later"])
both_failing = pytest.mark.parametrize("name", ["fail", "fail_later"])


@pytest.fixture
async def pool(lua: str) -> AsyncIterator[ThreadPool]:
    """An open pool of two threads, with the functions above."""
    functions: dict[str, Callable[..., Any]] = {
        function.__name__: function for function in (give, give_later, fail, fail_later)
    }
    async with ThreadPool("host", threads=2, lua=lua, functions=functions) as pool:
        yield pool


async def result_of(lua: str, function: Callable[..., Any], source: str, *args: Any) -> Any:
    """Return what a task returns that knows `function` as ``host.f``."""
    async with ThreadPool("one", threads=1, lua=lua, functions={"f": function}) as pool:
        return await pool.submit(Chunk(source, name="plugin"), *args)


async def error_of(pool: ThreadPool, source: str) -> Exception:
    future = pool.submit(Chunk(source, name="plugin"))
    (outcome,) = await asyncio.gather(future, return_exceptions=True)
    assert isinstance(outcome, Exception)
    return outcome


class TestRegistration:
    async def test_the_decorator_uses_the_name_of_the_function_and_returns_it(
        self, lua: str
    ) -> None:
        pool = ThreadPool("decorated", threads=1, lua=lua)

        @pool.function
        def double(x: int) -> int:
            return 2 * x

        @pool.function
        async def triple(x: int) -> int:
            return 3 * x

        assert double(1) == 2 and await triple(1) == 3
        async with pool:
            assert await pool.submit("return host.double(21), host.triple(14)") == (42, 42)

    async def test_a_mapping_gives_the_names(self, lua: str) -> None:
        functions = {"größe": len, "two words": give, "end": math.sqrt}
        async with ThreadPool("named", threads=1, lua=lua, functions=functions) as pool:
            source = "return host['größe']('abc'), host['two words'](1), host['end'](4)"
            assert await pool.submit(source) == (3, 1, 2)

    async def test_the_pool_keeps_no_view_of_the_mapping(self, lua: str) -> None:
        functions: dict[str, Callable[..., Any]] = {"f": give}
        pool = ThreadPool("copy", threads=1, lua=lua, functions=functions)
        functions["g"] = functions.pop("f")
        async with pool:
            assert await pool.submit("return host.f ~= nil, host.g") == (True, None)

    async def test_a_name_that_is_registered_again_means_the_new_function(self, lua: str) -> None:
        async with ThreadPool("again", threads=1, lua=lua, functions={"f": fail}) as pool:

            @pool.function
            def f() -> str:
                return "new"

            assert await pool.submit("return host.f()") == "new"

            async def newest() -> str:
                return "newest"

            newest.__name__ = "f"
            pool.function(newest)
            assert await pool.submit("return host.f()") == "newest"

    @pytest.mark.parametrize(
        ("name", "function", "error"),
        [
            ("f", 7, TypeError),
            ("f", None, TypeError),
            (7, print, TypeError),
            (None, print, TypeError),
            ("", print, ValueError),
            ("\ud800", print, ValueError),
        ],
    )
    def test_what_is_no_name_or_no_function_is_refused(
        self, name: Any, function: Any, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            ThreadPool(functions={name: function})

    def test_the_decorator_refuses_what_has_no_name_or_cannot_be_called(self) -> None:
        pool = ThreadPool()
        with pytest.raises(TypeError, match="name"):
            pool.function(partial(give, 1))
        with pytest.raises(TypeError):
            pool.function(7)  # type: ignore[type-var]

    async def test_a_pool_without_functions_has_an_empty_host(self, lua: str) -> None:
        async with ThreadPool("none", threads=1, lua=lua) as pool:
            assert await pool.submit("return type(host), next(host)") == ("table", None)
            with pytest.raises(LuaError, match="plugin:1: attempt to call .*'fetch'"):
                await pool.submit(Chunk("host.fetch()", name="plugin"))

    def test_functions_are_a_mapping(self, lua: str) -> None:
        with pytest.raises(TypeError, match="functions must be a mapping, not list"):
            ThreadPool(lua=lua, functions=[give])  # type: ignore[arg-type]

    async def test_a_name_can_be_given_to_what_has_none(self, pool: ThreadPool) -> None:
        for nameless in partial(give, 7), lambda: 7:
            with pytest.raises(TypeError, match="no name that Lua could use"):
                pool.function(nameless)
            pool.function(nameless, name="seven")
            assert await pool.submit("return host.seven()") == 7

    async def test_lua_cannot_change_the_table_by_mistake(self, pool: ThreadPool) -> None:
        for change in "host.give = nil", "host.new = 1":
            error = await error_of(pool, change)
            assert "plugin:1: host functions are registered by Python; cannot set" in str(error)
        assert await pool.submit("return host.give(1), host.new") == (1, None)

    async def test_a_call_with_a_colon_says_so(self, pool: ThreadPool) -> None:
        error = await error_of(pool, "local x = host:give(1)")
        assert str(error) == "host.give: it is called with a dot, and not with a colon"


class TestWhileThePoolIsOpen:
    async def test_tasks_submitted_afterwards_know_a_new_function(self, pool: ThreadPool) -> None:
        for i in range(20):
            assert await pool.submit(f"return host.f{i}") is None

            def new(i: int = i) -> int:
                return i

            new.__name__ = f"f{i}"
            pool.function(new)
            calls = [pool.submit(f"return host.f{i}()") for _ in range(20)]
            assert await asyncio.gather(*calls) == [i] * 20

    async def test_states_learn_of_it_that_were_busy_then(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        async with ThreadPool("busy", threads=3, lua=lua) as pool:
            gates = [gate() for _ in range(3)]
            blocked = [pool.submit(each.chunk) for each in gates]
            for each in gates:
                await each.entered()

            @pool.function
            def late() -> str:
                return "known"

            calls = [pool.submit("return host.late()") for _ in range(50)]
            for each in gates:
                each.open()
            assert await asyncio.gather(*blocked) == ["through"] * 3
            assert await asyncio.gather(*calls) == ["known"] * 50

    async def test_a_task_that_was_paused_then_can_call_it(self, pool: ThreadPool) -> None:
        @pool.function
        async def register() -> None:
            @pool.function
            def late() -> str:
                return "known"

        source = "local before = host.late host.register() return before, host.late()"
        assert await pool.submit(source) == (None, "known")


class TestKinds:
    async def test_plain_functions_run_on_a_pool_thread_and_async_ones_on_the_loop(
        self, lua: str
    ) -> None:
        def plain() -> str:
            return threading.current_thread().name

        async def later() -> str:
            return threading.current_thread().name

        functions = {"plain": plain, "later": later}
        async with ThreadPool("where", threads=1, lua=lua, functions=functions) as pool:
            on_thread, on_loop = await pool.submit("return host.plain(), host.later()")
        assert on_thread.startswith("threadpool_lua")
        assert on_loop == threading.current_thread().name

    async def test_whatever_can_be_called_is_a_function(self, lua: str) -> None:
        class Plain:
            def __call__(self, x: int) -> int:
                return x + 1

            def method(self, x: int) -> int:
                return x + 2

        class Later:
            async def __call__(self, x: int) -> int:
                return x + 3

            async def method(self, x: int) -> int:
                return x + 4

        functions: dict[str, Callable[..., Any]] = {
            "object": Plain(),
            "method": Plain().method,
            "later": Later(),
            "later_method": Later().method,
            "partial": partial(give, 1),
            "later_partial": partial(give_later, 1),
            "builtin": abs,
            "type": str,
        }
        source = """
            return host.object(0), host.method(0), host.later(0), host.later_method(0),
                   {host.partial(2)}, {host.later_partial(2)}, host.builtin(-3), host.type(7)
        """
        async with ThreadPool("kinds", threads=1, lua=lua, functions=functions) as pool:
            assert await pool.submit(source) == (1, 2, 3, 4, [1, 2], [1, 2], 3, "7")

    async def test_a_plain_function_that_returns_an_awaitable_has_it_awaited_on_the_loop(
        self, lua: str
    ) -> None:
        async def name_of_thread(x: int) -> tuple[str, int]:
            return threading.current_thread().name, x

        class Answer:
            def __await__(self) -> Generator[Any, None, tuple[str, int]]:
                return name_of_thread(7).__await__()

        here = threading.current_thread().name
        called = "return host.f(7)"
        assert await result_of(lua, lambda x: name_of_thread(x), called) == (here, 7)
        assert await result_of(lua, lambda x: Answer(), called) == (here, 7)

    async def test_an_async_function_runs_in_a_task_that_is_named_after_it(self, lua: str) -> None:
        async def f() -> str:
            task = asyncio.current_task()
            assert task is not None
            return task.get_name()

        assert await result_of(lua, f, "return host.f()") == "host.f"

    async def test_paused_tasks_wait_side_by_side_on_one_thread(self, lua: str) -> None:
        everybody = asyncio.Event()
        arrived = 0

        async def f() -> int:
            nonlocal arrived
            arrived += 1
            if arrived == 500:
                everybody.set()
            await everybody.wait()
            return 1

        async with ThreadPool("one", threads=1, lua=lua, functions={"f": f}) as pool:
            async with asyncio.timeout(30):
                calls = [pool.submit("return host.f() + host.f()") for _ in range(500)]
                assert sum(await asyncio.gather(*calls)) == 1000

    async def test_an_async_function_can_use_the_pool_that_waits_for_it(self, lua: str) -> None:
        async with ThreadPool("one", threads=1, max_queue=0, lua=lua) as pool:

            @pool.function
            async def factorial(n: int) -> int:
                await pool.room()
                source = "local n = ... return n < 2 and 1 or n * host.factorial(n - 1)"
                return int(await pool.submit(source, n))

            async with asyncio.timeout(10):
                assert await pool.submit("return host.factorial(10)") == 3628800


class TestValues:
    @both_kinds
    async def test_arguments_and_results_keep_their_number_and_places(
        self, pool: ThreadPool, name: str
    ) -> None:
        for values in ((), (None,), (1,), (None, 1, None), ("x", None), tuple(range(200))):
            source = f"return select('#', host.{name}(...)), {{}}, host.{name}(...)"
            assert await pool.submit(source, *values) == (len(values), {}, *values)

    async def test_a_tuple_is_several_values_and_anything_else_one(self, lua: str) -> None:
        source = "return select('#', host.f()), true, host.f()"
        for result, values in (
            (None, (None,)),
            ([1, 2], ([1, 2],)),
            ((1, 2), (1, 2)),
            ((), ()),
            ([()], ([[]],)),
        ):
            assert await result_of(lua, lambda it=result: it, source) == (
                len(values),
                True,
                *values,
            )

    @both_kinds
    async def test_tables_and_strings_arrive_as_arguments_and_results_of_tasks_do(
        self, pool: ThreadPool, name: str
    ) -> None:
        value = {"k": [1, None, {"ü": [[], {}]}], "x": -0.5, "yes": True, "nul": "\0"}
        assert await pool.submit(f"return host.{name}(...)", value, "ü") == (value, "ü")
        assert await pool.submit(f"local t = host.{name}(...) return t.k[2] == null", value) is True

    @both_kinds
    async def test_large_strings_and_tables_cross_both_ways(
        self, pool: ThreadPool, name: str
    ) -> None:
        text = "ü" * 2_000_000
        rows = [{"id": i, "name": f"row {i}"} for i in range(30_000)]
        for values in ((text,), (rows,), (text, rows), (rows, text, rows)):
            source = f"return select('#', host.{name}(...)), host.{name}(...)"
            assert await pool.submit(source, *values) == (len(values), *values)

    @both_kinds
    async def test_with_encoding_none_strings_are_bytes(self, lua: str, name: str) -> None:
        seen: list[Any] = []

        def give(*values: Any) -> tuple[Any, ...]:
            seen.extend(values)
            return (*values, "ü")

        async def give_later(*values: Any) -> tuple[Any, ...]:
            return give(*values)

        functions = {"give": give, "give_later": give_later}
        async with ThreadPool(
            "raw", threads=1, lua=lua, encoding=None, functions=functions
        ) as pool:
            back = await pool.submit(rf"return host.{name}('\255', {{'\0\254'}})")
        assert seen == [b"\xff", [b"\0\xfe"]]
        assert back == (b"\xff", [b"\0\xfe"], "ü".encode())

    async def test_many_arguments_and_results_cross(self, pool: ThreadPool) -> None:
        source = "local unpack = unpack or table.unpack return select('#', host.give(unpack(...)))"
        assert await pool.submit(source, list(range(5000))) == 5000

    async def test_too_many_results_are_refused(self, lua: str) -> None:
        for last in (0, [0]):
            error = await result_of(
                lua,
                lambda it=last: (*[1] * 1_100_000, it),
                "local _, err = pcall(host.f) return tostring(err), 'fine'",
            )
            assert error == ("MarshalError: host.f: 1100001 results: too many", "fine")


class TestRefused:
    """Values that cannot cross."""

    @both_kinds
    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            ("print", "argument 1: cannot pass a function"),
            ("1, {users = {1, print}}", "argument 2: ['users'][2]: cannot pass a function"),
            ("io.stdout", "argument 1: cannot pass a userdata"),
            ("nil, coroutine.create(print)", "argument 2: cannot pass a thread"),
            (r"'a\255'", "argument 1: byte 0xff at 2 is not valid UTF-8"),
            (r"1, {'\255'}", "argument 2: [1]: byte 0xff at 1 is not valid UTF-8"),
        ],
    )
    async def test_an_argument_is_an_error_in_lua(
        self, pool: ThreadPool, name: str, arguments: str, why: str
    ) -> None:
        error = await error_of(pool, f"\nlocal x = host.{name}({arguments})\nreturn x")
        assert f"host.{name}: {why}" in str(error)
        assert "plugin:2:" in error.__notes__[0]
        source = f"local ok, err = pcall(host.{name}, {arguments}) return ok, tostring(err)"
        ok, text = await pool.submit(source)
        assert not ok and f"host.{name}: {why}" in text
        assert await pool.submit(f"return host.{name}(1)") == 1

    async def test_a_refused_argument_is_the_same_kind_of_error_whichever_it_is(
        self, pool: ThreadPool
    ) -> None:
        for arguments in ("print", r"'\255'"):
            error = await error_of(pool, f"local x = host.give({arguments}) return x")
            source = f"local _, err = pcall(host.give, {arguments}) return type(err), err.type"
            assert await pool.submit(source) == ("table", "MarshalError")
            assert type(error) is MarshalError

    @pytest.mark.parametrize("is_async", [False, True])
    @pytest.mark.parametrize(
        ("result", "why"),
        [
            ({1}, "result 1: cannot pass a set"),
            ((1, object()), "result 2: cannot pass an object"),
            ([1, {"users": [{2}]}], "result 1: [1]['users'][0]: cannot pass a set"),
            ("\ud800", "result 1: cannot encode the string: surrogates not allowed"),
            (10**30, f"result 1: the integer {10**30} is beyond what this Lua holds exactly"),
        ],
    )
    async def test_a_result_is_an_error_in_lua(
        self, lua: str, is_async: bool, result: Any, why: str
    ) -> None:
        async def later() -> Any:
            return result

        function = later if is_async else lambda: result
        source = "local ok, err = pcall(host.f) return ok, tostring(err)"
        assert await result_of(lua, function, source) == (False, f"MarshalError: host.f: {why}")
        with pytest.raises(MarshalError) as caught:
            await result_of(lua, function, "\nlocal x = host.f()\nreturn x")
        assert str(caught.value) == f"host.f: {why}"
        assert "plugin:2:" in caught.value.__notes__[0]


class TestExceptions:
    @both_failing
    async def test_one_is_a_table_with_type_and_message(self, pool: ThreadPool, name: str) -> None:
        source = f"local ok, err = pcall(host.{name}) return ok, type(err), err.type, err.message"
        assert await pool.submit(source) == (False, "table", "ValueError", "no such user")

    @both_failing
    async def test_it_is_text_where_lua_makes_text_of_it(self, pool: ThreadPool, name: str) -> None:
        source = f"local _, err = pcall(host.{name}) return tostring(err), '<' .. err .. '>'"
        text = "ValueError: no such user"
        assert await pool.submit(source) == (text, f"<{text}>")
        source = f"local _, err = pcall(host.{name}, '') return tostring(err), err .. err"
        assert await pool.submit(source) == ("ValueError", "ValueErrorValueError")

    @both_failing
    async def test_uncaught_the_exception_itself_comes_out_of_the_await(
        self, lua: str, name: str
    ) -> None:
        class NoSuchUserError(Exception):
            pass

        raised = NoSuchUserError("ann")

        def fail() -> None:
            raise raised

        async def fail_later() -> None:
            raise raised

        functions = {"fail": fail, "fail_later": fail_later}
        async with ThreadPool("own", threads=1, lua=lua, functions=functions) as pool:
            source = f"local function load()\n  host.{name}()\nend\nload()"
            assert await error_of(pool, source) is raised
        (note,) = raised.__notes__
        assert note.startswith("Lua stack traceback:\n")
        assert "plugin:2:" in note and "plugin:4:" in note
        assert "threadpool_lua" not in note

    @both_failing
    @pytest.mark.parametrize("again", ["error(err)", "error(err, 0)", "error(err, 2)"])
    async def test_what_lua_catches_and_raises_again_is_the_same_exception(
        self, lua: str, name: str, again: str
    ) -> None:
        raised = [ValueError("first"), ValueError("second")]
        left = list(raised)

        def fail() -> None:
            raise left.pop(0)

        async def fail_later() -> None:
            fail()

        functions = {"fail": fail, "fail_later": fail_later, "give_later": give_later}
        source = f"""
            local _, err = pcall(host.{name})
            pcall(host.{name})
            host.give_later('another call in between')
            {again}
        """
        async with ThreadPool("again", threads=1, lua=lua, functions=functions) as pool:
            assert await error_of(pool, source) is raised[0]

    @both_failing
    async def test_an_error_that_lua_makes_of_it_is_luas(self, pool: ThreadPool, name: str) -> None:
        source = f"local _, err = pcall(host.{name}) error('sorry: ' .. err)"
        error = await error_of(pool, source)
        assert type(error) is LuaError
        assert str(error) == "plugin:1: sorry: ValueError: no such user"
        assert error.__cause__ is None and error.__context__ is None

    @both_failing
    async def test_what_lua_catches_is_no_part_of_later_errors(
        self, pool: ThreadPool, name: str
    ) -> None:
        error = await error_of(pool, f"pcall(host.{name}) return print")
        assert type(error) is MarshalError
        assert error.__cause__ is None and error.__context__ is None
        assert await pool.submit(f"pcall(host.{name}) return 'fine'") == "fine"

    async def test_the_traceback_is_about_the_users_python_code_only(self, lua: str) -> None:
        def inner() -> None:
            raise KeyError("ann")

        def outer() -> None:
            inner()

        async def outer_later() -> None:
            await asyncio.sleep(0)
            inner()

        class Answer:
            def __await__(self) -> Generator[Any, None, None]:
                yield from asyncio.sleep(0).__await__()
                inner()

        functions: dict[str, Callable[..., Any]] = {
            "plain": outer,
            "later": outer_later,
            "returned": lambda: outer_later(),
            "awaitable": lambda: Answer(),
        }
        expected = {
            "plain": ["outer", "inner"],
            "later": ["outer_later", "inner"],
            "returned": ["outer_later", "inner"],
            "awaitable": ["__await__", "inner"],
        }
        async with ThreadPool("frames", threads=1, lua=lua, functions=functions) as pool:
            frames = {}
            for name in functions:
                with pytest.raises(KeyError) as caught:
                    await pool.submit(f"host.{name}()")
                trace = traceback.extract_tb(caught.value.__traceback__)
                # The first is this test.
                frames[name] = [frame.name for frame in trace[1:]]
        assert frames == expected

    @pytest.mark.parametrize("arguments", ["", "1, 2"])
    async def test_a_wrong_number_of_arguments_is_a_type_error(
        self, lua: str, arguments: str
    ) -> None:
        def plain(user: int) -> None: ...

        async def later(user: int) -> None: ...

        functions = {"plain": plain, "later": later}
        async with ThreadPool("wrong", threads=1, lua=lua, functions=functions) as pool:
            for name in functions:
                with pytest.raises(TypeError, match=rf"{name}\(\) (missing|takes) 1 ") as caught:
                    await pool.submit(f"host.{name}({arguments})")
                assert len(traceback.extract_tb(caught.value.__traceback__)) == 1
                source = f"local _, err = pcall(host.{name}, {arguments or 'nil, nil'}) return err"
                assert (await pool.submit(source))["type"] == "TypeError"

    async def test_stop_iteration_is_raised_as_the_cause_of_a_runtime_error(self, lua: str) -> None:
        raised = StopIteration("over")

        def f() -> None:
            raise raised

        with pytest.raises(RuntimeError) as caught:
            await result_of(lua, f, "host.f()")
        assert caught.value.__cause__ is raised
        source = "local _, err = pcall(host.f) return tostring(err)"
        assert await result_of(lua, f, source) == "StopIteration: over"

    async def test_what_is_no_exception_ends_the_task_and_lua_cannot_catch_it(
        self, lua: str
    ) -> None:
        def leave() -> None:
            raise SystemExit(3)

        async with ThreadPool("leave", threads=1, lua=lua, functions={"leave": leave}) as pool:
            with pytest.raises(SystemExit) as caught:
                await pool.submit("pcall(host.leave) return 'caught'")
            assert caught.value.code == 3
            assert pool.statistics().coroutines == 0
            assert await pool.submit("return 'fine'") == "fine"

    @pytest.mark.parametrize("is_async", [False, True])
    async def test_a_function_that_is_cancelled_cancels_its_task(
        self, lua: str, is_async: bool
    ) -> None:
        def plain() -> None:
            raise asyncio.CancelledError

        async def later() -> None:
            raise asyncio.CancelledError

        function: Callable[[], Any] = later if is_async else plain
        async with ThreadPool("one", threads=1, lua=lua, functions={"f": function}) as pool:
            future = pool.submit("pcall(host.f) return 'caught'")
            await asyncio.wait([future], timeout=10)
            assert future.cancelled()
            assert await pool.submit("return 'fine'") == "fine"
            assert pool.statistics().coroutines == 0

    async def test_an_exception_that_cannot_be_shown_has_an_empty_message(self, lua: str) -> None:
        class MuteError(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        def f() -> None:
            raise MuteError

        source = "local _, err = pcall(host.f) return err.type, err.message, tostring(err)"
        assert await result_of(lua, f, source) == ("MuteError", "", "MuteError")

    async def test_an_exception_may_hold_any_text(self, lua: str) -> None:
        def f() -> None:
            raise ValueError("nul \0, ü, \ud800")

        source = "local _, err = pcall(host.f) return err.message"
        assert await result_of(lua, f, source) == "nul \0, ü, ?"

    async def test_lua_can_copy_and_change_it_and_hand_it_out(self, pool: ThreadPool) -> None:
        source = "local _, err = pcall(host.fail) err.user = 7 return err"
        assert await pool.submit(source) == {
            "type": "ValueError",
            "message": "no such user",
            "user": 7,
        }

    async def test_one_that_fails_leaves_its_neighbours_alone(self, pool: ThreadPool) -> None:
        source = """
            local i = ...
            if i % 2 == 1 then host.fail_later(tostring(i)) end
            return host.give_later(i)
        """
        outcomes = await asyncio.gather(
            *(pool.submit(source, i) for i in range(100)), return_exceptions=True
        )
        assert [str(outcome) for outcome in outcomes] == [str(i) for i in range(100)]
        assert all(isinstance(outcome, ValueError) for outcome in outcomes[1::2])

    async def test_an_exception_keeps_nothing_of_the_pool_alive(self, lua: str) -> None:
        """Or else its last reference would close Lua states on the loop's thread."""
        errors = []
        functions = {"fail": fail, "fail_later": fail_later}
        async with ThreadPool("gone", threads=1, lua=lua, functions=functions) as pool:
            for source in ("host.fail()", "host.fail_later()"):
                errors.append(await error_of(pool, source))
        for error in errors:
            error.__traceback__ = None  # It holds on to our own helper's arguments.
        watched = weakref.ref(pool)
        del pool, functions
        gc.collect()
        assert watched() is None
        assert [type(error) for error in errors] == [ValueError, ValueError]

    async def test_one_that_reaches_many_tasks_has_one_note(self, lua: str) -> None:
        shared = ValueError("shared")

        async def load() -> None:
            raise shared

        async with ThreadPool("many", threads=2, lua=lua, functions={"load": load}) as pool:
            outcomes = await asyncio.gather(
                *(pool.submit("host.load()") for _ in range(50)), return_exceptions=True
            )
        assert set(outcomes) == {shared}
        assert len(shared.__notes__) == 1


class TestCancelling:
    async def test_a_cancelled_task_calls_no_more_functions(self, lua: str) -> None:
        """The thread comes back to Python between two calls, and sees that nobody waits."""
        calls: list[int] = []
        entered, go_on = threading.Event(), threading.Event()

        def charge(i: int) -> None:
            calls.append(i)
            entered.set()
            go_on.wait(10)

        async with ThreadPool("one", threads=1, lua=lua, functions={"charge": charge}) as pool:
            future = pool.submit("for i = 1, 100 do pcall(host.charge, i) end")
            async with asyncio.timeout(10):
                while not entered.is_set():
                    await asyncio.sleep(0)
                future.cancel()
                go_on.set()
                assert await pool.submit("return 'next'") == "next"
            assert calls == [1]
            assert pool.statistics().coroutines == 0


class TestContext:
    """The context (`contextvars`) that functions run in."""

    @pytest.fixture
    def user(self) -> ContextVar[str]:
        return ContextVar("user", default="nobody")

    @pytest.fixture
    async def pool(self, lua: str, user: ContextVar[str]) -> AsyncIterator[ThreadPool]:
        """A pool of one thread whose functions get and set the variable."""

        async def get_later() -> str:
            await asyncio.sleep(0)
            return user.get()

        async def set_later(name: str) -> None:
            await asyncio.sleep(0)
            user.set(name)

        def set_plain(name: str) -> None:
            user.set(name)

        functions: dict[str, Callable[..., Any]] = {
            "get": user.get,
            "set": set_plain,
            "get_later": get_later,
            "set_later": set_later,
            "get_awaited": lambda: get_later(),
        }
        async with ThreadPool("context", threads=1, lua=lua, functions=functions) as pool:
            yield pool

    async def test_it_is_that_of_who_submitted_the_task_then(
        self, pool: ThreadPool, user: ContextVar[str]
    ) -> None:
        user.set("ann")
        future = pool.submit("return host.get(), host.get_later(), host.get_awaited(), host.get()")
        user.set("bob")
        assert await future == ("ann",) * 4

    @pytest.mark.parametrize("setter", ["set", "set_later"])
    async def test_what_one_call_sets_the_next_ones_see_and_nobody_else(
        self, pool: ThreadPool, user: ContextVar[str], setter: str
    ) -> None:
        user.set("ann")
        source = f"""
            local before = host.get()
            host.{setter}(...)
            coroutine.yield()
            return before, host.get(), host.get_later()
        """
        tasks = [pool.submit(source, name) for name in ("bob", "eve")]
        assert await asyncio.gather(*tasks) == [("ann", "bob", "bob"), ("ann", "eve", "eve")]
        assert user.get() == "ann"

    async def test_on_yield_runs_in_it_too(self, pool: ThreadPool, user: ContextVar[str]) -> None:
        user.set("ann")

        def on_yield(name: str) -> str:
            before = user.get()
            user.set(name)
            return before

        source = "host.set('bob') return coroutine.yield('eve'), host.get()"
        assert await pool.submit(source, on_yield=on_yield) == ("bob", "eve")
        assert user.get() == "ann"

    async def test_a_coroutine_has_that_of_who_resumes_it(
        self, pool: ThreadPool, user: ContextVar[str]
    ) -> None:
        user.set("ann")
        coroutine = pool.create("while true do coroutine.yield(host.get(), host.get_later()) end")
        user.set("bob")
        assert await coroutine.resume() == ("bob", "bob")
        user.set("eve")
        assert await coroutine.resume() == ("eve", "eve")

    async def test_a_stream_and_a_map_have_that_of_who_made_them(
        self, pool: ThreadPool, user: ContextVar[str]
    ) -> None:
        user.set("ann")
        source = "for _ = 1, 2 do coroutine.yield(host.get_later()) end"
        stream = pool.stream(source)
        results = pool.map("local before = host.get() host.set_later(...) return before", "xyz")
        user.set("bob")
        assert [row async for row in stream] == ["ann", "ann"]
        assert [result async for result in results] == ["ann"] * 3
        assert user.get() == "bob"


class TestWhereFunctionsAreCalled:
    async def test_from_a_required_module(self, lua: str, tmp_path: Path) -> None:
        (tmp_path / "users.lua").write_text(
            "local users = {}\n"
            "function users.name(id) return host.fetch_user(id).name end\n"
            "return users\n"
        )

        async def fetch_user(number: int) -> dict[str, str]:
            return {"name": f"user {number}"}

        async with ThreadPool(
            "modules",
            threads=2,
            lua=lua,
            package_path=f"{tmp_path}/?.lua",
            functions={"fetch_user": fetch_user},
        ) as pool:
            source = "local users = require 'users' return users.name(...)"
            names = await asyncio.gather(*(pool.submit(source, i) for i in range(50)))
            assert names == [f"user {i}" for i in range(50)]
            assert await pool.call("users", "name", 7) == "user 7"

    async def test_a_module_may_keep_a_function_that_is_registered_again(
        self, lua: str, tmp_path: Path
    ) -> None:
        (tmp_path / "kept.lua").write_text(
            "local f = host.f\nreturn {f = function() return f() end}"
        )
        async with ThreadPool(
            "kept", threads=1, lua=lua, package_path=f"{tmp_path}/?.lua", functions={"f": fail}
        ) as pool:
            with pytest.raises(ValueError, match="no such user"):
                await pool.call("kept", "f")

            @pool.function
            def f() -> str:
                return "new"

            assert await pool.call("kept", "f") == "new"

    async def test_not_while_a_module_is_loaded(self, lua: str, tmp_path: Path) -> None:
        (tmp_path / "early.lua").write_text("return host.f()")
        async with ThreadPool(
            "early", threads=1, lua=lua, package_path=f"{tmp_path}/?.lua", functions={"f": give}
        ) as pool:
            error = await error_of(pool, "require 'early'")
        assert isinstance(error, LuaError)
        assert "attempt to yield across" in str(error)
        assert "(a task cannot pause inside a function of C that calls back)" in str(error)
        assert "threadpool_lua" not in str(error)

    @pytest.mark.parametrize("init", ["host.f()", "x = coroutine.wrap(host.f)()"])
    async def test_not_by_init(self, lua: str, init: str) -> None:
        async with ThreadPool(
            "early", threads=1, lua=lua, init=init, functions={"f": give}
        ) as pool:
            with pytest.raises(InitError) as caught:
                await pool.submit("return 1")
        assert str(caught.value) == (
            'thread pool "early": init failed: host functions can be called by tasks only'
        )
        assert isinstance(caught.value.__cause__, LuaError)

    async def test_init_may_define_functions_that_call_them(self, lua: str) -> None:
        init = "local give = host.give_later function twice(x) return give(x) + give(x) end"
        functions = {"give_later": give_later}
        async with ThreadPool("init", threads=1, lua=lua, init=init, functions=functions) as pool:
            assert await pool.submit("return twice(21)") == 42

    async def test_from_what_streams_coroutines_and_maps_run(self, pool: ThreadPool) -> None:
        source = "local x = ... x = host.give_later(x) coroutine.yield(x) return host.give(x)"
        assert [row async for row in pool.stream(source, 1)] == [1]
        coroutine = pool.create(source)
        assert [await coroutine.resume(1), await coroutine.resume()] == [1, 1]
        source = "return host.give_later(host.give(...))"
        assert [result async for result in pool.map(source, range(100))] == list(range(100))

    async def test_what_a_stream_fails_with_is_the_exception(self, pool: ThreadPool) -> None:
        for name in ("fail", "fail_later"):
            stream = pool.stream(f"coroutine.yield(1) host.{name}()")
            assert await anext(stream) == 1
            with pytest.raises(ValueError, match="no such user"):
                await anext(stream)
            coroutine = pool.create(f"host.{name}()")
            with pytest.raises(ValueError, match="no such user"):
                await coroutine.resume()
            assert coroutine.status == "failed"

    async def test_a_task_may_have_a_global_of_that_name(self, pool: ThreadPool) -> None:
        assert await pool.submit("host = 'localhost' return host") == "localhost"
        assert await pool.submit("return host.give('still there')") == "still there"


async def test_the_answer_may_be_awaited_by_others_too(lua: str) -> None:
    """An ``async`` function may await what other tasks wait for."""
    shared: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    waiting = 0

    async def f() -> str:
        nonlocal waiting
        waiting += 1
        return await asyncio.shield(shared)

    def same_future() -> Awaitable[str]:
        return shared

    functions: dict[str, Callable[..., Any]] = {"f": f, "same_future": same_future}
    async with ThreadPool("shared", threads=1, lua=lua, functions=functions) as pool:
        first = [pool.submit("return host.f()") for _ in range(3)]
        second = [pool.submit("return host.same_future()") for _ in range(3)]
        async with asyncio.timeout(10):
            while waiting < 3 or pool.statistics().paused < 6:
                await asyncio.sleep(0)
        shared.set_result("answer")
        assert await asyncio.gather(*first, *second) == ["answer"] * 6


@dataclass(frozen=True)
class FrozenError(Exception):
    """An exception whose attributes cannot be set."""

    code: int


@pytest.mark.parametrize("name", ["plain", "later"])
async def test_an_exception_that_cannot_be_changed_comes_out_all_the_same(
    lua: str, name: str
) -> None:
    def plain() -> None:
        raise FrozenError(7)

    async def later() -> None:
        raise FrozenError(7)

    functions: dict[str, Callable[..., Any]] = {"plain": plain, "later": later}
    async with ThreadPool("frozen", threads=1, lua=lua, functions=functions) as pool:
        assert await pool.submit(f"return pcall(host.{name})") == (
            False,
            {"type": "FrozenError", "message": "7"},
        )
        with pytest.raises(FrozenError):
            await pool.submit(f"host.{name}()")
        with pytest.raises(FrozenError):
            await pool.submit("coroutine.yield()", on_yield=functions[name])
        assert await pool.submit("return 'fine'") == "fine"
        await at_rest(pool)
