"""What the awaiting side sees of an error."""

from __future__ import annotations

import asyncio
import gc
import pickle
import traceback
import weakref
from typing import Any

import pytest

from threadpool_lua import (
    Chunk,
    InitError,
    LuaError,
    LuaSyntaxError,
    NginxConfigError,
    PoolClosedError,
    PoolNotFoundError,
    QueueFullError,
    ThreadPool,
    ThreadPoolError,
)


async def error_of(pool: ThreadPool, source: str) -> LuaError:
    with pytest.raises(LuaError) as caught:
        await pool.submit(Chunk(source, name="plugin"))
    return caught.value


class TestLuaError:
    async def test_it_carries_message_position_and_traceback(self, pool: ThreadPool) -> None:
        error = await error_of(pool, "local function inner() error('boom') end\ninner()")
        assert str(error) == error.message == error.value == "plugin:1: boom"
        assert (error.chunk, error.line) == ("plugin", 1)
        lines = error.traceback.splitlines()
        assert lines[0] == "stack traceback:"
        assert any("plugin:1:" in line for line in lines)
        assert any("plugin:2:" in line for line in lines)
        assert "dispatcher" not in error.traceback

    async def test_an_error_of_lua_itself_has_a_position_too(self, pool: ThreadPool) -> None:
        error = await error_of(pool, "\nlocal t = nil\nreturn t.x")
        assert error.message.startswith("plugin:3: attempt to index")
        assert error.line == 3
        assert "plugin:3: in" in error.traceback

    async def test_the_position_is_the_one_that_the_message_names(self, pool: ThreadPool) -> None:
        error = await error_of(pool, "local function f()\n error('blame the caller', 2)\nend\nf()")
        assert error.message == "plugin:4: blame the caller"
        assert error.line == 4

    async def test_without_a_position_in_the_message_it_is_where_the_error_was_raised(
        self, pool: ThreadPool
    ) -> None:
        error = await error_of(pool, "\nerror('bare', 0)")
        assert (error.message, error.chunk, error.line) == ("bare", "plugin", 2)

    @pytest.mark.parametrize(
        ("thrown", "value", "message"),
        [
            ("{code = 3}", {"code": 3}, "(error object is a table value)"),
            ("{1, 2}", [1, 2], "(error object is a table value)"),
            ("42, 0", 42, "42"),
            ("false", False, "(error object is a boolean value)"),
            ("print", None, "(error object is a function value)"),
            ("{print}", None, "(error object is a table value)"),
            (
                "setmetatable({}, {__tostring = function() return 'mine' end})",
                {},
                "mine",
            ),
            (
                "setmetatable({}, {__tostring = function() error('no') end})",
                {},
                "(error object is a table value)",
            ),
            (
                "setmetatable({}, setmetatable({}, {__index = function() error('no') end}))",
                {},
                "(error object is a table value)",
            ),
            (r"{'\255'}", None, "(error object is a table value)"),
        ],
    )
    async def test_a_value_that_is_no_string_comes_along(
        self, pool: ThreadPool, thrown: str, value: object, message: str
    ) -> None:
        error = await error_of(pool, f"\nerror({thrown})")
        assert error.value == value
        assert error.message == message
        assert error.line == 2

    async def test_error_nil(self, pool: ThreadPool) -> None:
        error = await error_of(pool, "error(nil)")
        assert error.value is None or error.value == "<no error object>"  # since Lua 5.5
        assert error.message in ("(error object is a nil value)", "<no error object>")

    async def test_a_message_may_hold_any_bytes(self, pool: ThreadPool) -> None:
        error = await error_of(pool, r"error('\0 \255 ü', 0)")
        assert error.message == "\0 \\xff ü"

    async def test_a_stack_overflow_is_an_error_like_any_other(self, pool: ThreadPool) -> None:
        error = await error_of(pool, "local function f() return 1 + f() end return f()")
        assert "stack overflow" in error.message
        assert error.line == 1
        assert await pool.submit("return 'fine'") == "fine"

    async def test_the_traceback_shows_the_users_code_and_luas_but_not_ours(
        self, pool: ThreadPool
    ) -> None:
        try:
            await pool.submit(Chunk("error('boom')", name="plugin"))
        except LuaError as error:
            text = "".join(traceback.format_exception(error))
        assert "threadpool_lua.LuaError: plugin:1: boom\nstack traceback:\n" in text
        assert "_threads.py" not in text
        assert "_state.py" not in text

    async def test_an_error_keeps_nothing_of_the_pool_alive(self, lua: str) -> None:
        """Or else its last reference would close Lua states on the loop's thread."""
        errors: list[BaseException] = []
        async with ThreadPool("gone", threads=1, lua=lua) as pool:
            for task in ("error('x')", "return (", r"return '\255'", "return print"):
                with pytest.raises(ThreadPoolError) as caught:
                    await pool.submit(task)
                errors.append(caught.value)
                frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
                assert frames == ["test_an_error_keeps_nothing_of_the_pool_alive"]
                assert caught.value.__context__ is None
        watched = weakref.ref(pool)
        del pool, task, caught, frames
        gc.collect()
        assert watched() is None
        assert len(errors) == 4

    async def test_one_that_fails_leaves_its_neighbours_alone(self, pool: ThreadPool) -> None:
        source = "local i = ... if i % 2 == 1 then error('odd') end return i"
        outcomes = await asyncio.gather(
            *(pool.submit(source, i) for i in range(100)), return_exceptions=True
        )
        assert [o for o in outcomes if not isinstance(o, LuaError)] == list(range(0, 100, 2))

    async def test_it_names_chunk_and_line(self, pool: ThreadPool) -> None:
        with pytest.raises(LuaSyntaxError, match=r"^plugin:2: ") as caught:
            await pool.submit(Chunk("local x\nx = = 1", name="plugin"))
        assert (caught.value.chunk, caught.value.line) == ("plugin", 2)
        assert isinstance(caught.value, LuaError)

    async def test_what_looks_like_a_position_in_the_source_is_none(self, pool: ThreadPool) -> None:
        source = "x = 'at:7: oops' y y"
        with pytest.raises(LuaSyntaxError) as caught:
            await pool.submit(source)
        assert (caught.value.chunk, caught.value.line) == (f'[string "{source}"]', 1)

    async def test_source_without_a_name_is_shown_itself(self, pool: ThreadPool) -> None:
        with pytest.raises(LuaSyntaxError, match=r'^\[string "return \("\]:1: '):
            await pool.submit("return (")

    async def test_it_comes_with_no_other_exception_in_tow(self, pool: ThreadPool) -> None:
        with pytest.raises(LuaSyntaxError) as caught:
            await pool.submit("return (")
        assert caught.value.__context__ is None
        assert caught.value.__cause__ is None


class TestInitError:
    async def test_every_task_names_the_pool_and_the_reason(self, lua: str) -> None:
        async with ThreadPool("db", threads=2, lua=lua, init="error('no database')") as pool:
            for _ in range(3):
                with pytest.raises(InitError) as caught:
                    await pool.submit("return 1")
                assert str(caught.value) == 'thread pool "db": init failed: init:1: no database'
                assert isinstance(caught.value.__cause__, LuaError)

    async def test_an_init_that_does_not_compile_says_so(self, lua: str) -> None:
        async with ThreadPool("db", threads=1, lua=lua, init="x = = 1") as pool:
            with pytest.raises(
                InitError, match='thread pool "db": init failed: init:1: '
            ) as caught:
                await pool.submit("return 1")
            assert isinstance(caught.value.__cause__, LuaSyntaxError)
            assert caught.value.__cause__.line == 1

    async def test_an_init_that_yields_fails(self, lua: str) -> None:
        async with ThreadPool("db", threads=1, lua=lua, init="coroutine.yield()") as pool:
            with pytest.raises(InitError, match="attempt to yield"):
                await pool.submit("return 1")

    async def test_the_pool_recovers_once_init_succeeds(self, lua: str, tmp_path: object) -> None:
        init = f"assert(io.open('{tmp_path}/ready')):close()"
        async with ThreadPool("db", threads=1, lua=lua, init=init) as pool:
            with pytest.raises(InitError):
                await pool.submit("return 1")
            with open(f"{tmp_path}/ready", "w"):
                pass
            assert await pool.submit("return 1") == 1

    async def test_several_run_in_turn_and_each_is_named(self, lua: str) -> None:
        init = ["x = 'first'", Chunk("x = x .. ', second' error(x)", "second.lua")]
        async with ThreadPool("db", threads=1, lua=lua, init=init) as pool:
            with pytest.raises(InitError, match="second.lua:1: first, second"):
                await pool.submit("return 1")

    @pytest.mark.parametrize("init", [1, b"x = 1", ["x = 1", 2], {"x": 1}.items()])
    def test_other_types_are_refused(self, init: Any) -> None:
        with pytest.raises(TypeError, match="init must be str or Chunk, or a sequence of these"):
            ThreadPool(init=init)


def test_all_errors_have_one_base_and_survive_pickling() -> None:
    lua_error = LuaError("m", value=[1], chunk="c", line=2, traceback="stack traceback:\n\tx")
    for error in (
        lua_error,
        LuaSyntaxError("m", chunk="c", line=1),
        QueueFullError("p", 5, 6),
        PoolClosedError("p"),
        InitError("p"),
        PoolNotFoundError("p"),
        NginxConfigError("wrong", "nginx.conf", 1),
    ):
        assert isinstance(error, ThreadPoolError)
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert str(copy) == str(error)
        assert vars(copy) == vars(error)
