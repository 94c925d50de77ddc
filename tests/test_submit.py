"""Tasks: what goes in, what comes out, and what one task sees of another."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path
from typing import Any

import pytest

from threadpool_lua import (
    Chunk,
    LuaError,
    MarshalError,
    PoolClosedError,
    ThreadPool,
    ThreadPoolError,
)


class TestSubmit:
    async def test_arguments_arrive_and_the_result_comes_back(self, pool: ThreadPool) -> None:
        assert await pool.submit("local a, b = ... return a + b", 20, 22) == 42

    @pytest.mark.parametrize(
        ("source", "result"),
        [
            ("", None),
            ("return", None),
            ("return nil", None),
            ("return 'one'", "one"),
            ("return 1, 'two', true", (1, "two", True)),
            ("return nil, 'reason'", (None, "reason")),
            ("return nil, nil", (None, None)),
            ("return {1, 2}, {}", ([1, 2], {})),
        ],
    )
    async def test_no_value_gives_none_one_itself_several_a_tuple(
        self, pool: ThreadPool, source: str, result: Any
    ) -> None:
        assert await pool.submit(source) == result

    async def test_submit_returns_a_future_at_once_and_tasks_run_without_an_await(
        self, pool: ThreadPool
    ) -> None:
        futures = [pool.submit("return ...", i) for i in range(100)]
        assert all(isinstance(future, asyncio.Future) for future in futures)
        assert await asyncio.gather(*futures) == list(range(100))

    async def test_nil_arguments_keep_their_places(self, pool: ThreadPool) -> None:
        count = "return select('#', ...), ..."
        assert await pool.submit(count, None, 1, None) == (3, None, 1, None)

    async def test_many_arguments_arrive(self, pool: ThreadPool) -> None:
        assert await pool.submit("return select('#', ...)", *range(200)) == 200
        assert await pool.submit("return select('#', ...)", *[[i] for i in range(200)]) == 200

    async def test_what_is_neither_source_nor_chunk_is_refused(self, pool: ThreadPool) -> None:
        for chunk in (7, None, ["return 1"], b"return 1"):
            with pytest.raises(TypeError, match="Lua source .str. or a Chunk, not"):
                await pool.submit(chunk)  # type: ignore[arg-type]

    async def test_the_first_line_counts_as_the_first(self, pool: ThreadPool) -> None:
        with pytest.raises(LuaError, match=":3: here"):
            await pool.submit("local x = 1\n\nerror('here')")

    @pytest.mark.parametrize(
        "source", ["return 1 -- comment", "return 1;", "do return 1 end --[[x]]"]
    )
    async def test_a_chunk_may_end_as_any_lua_file_may(self, pool: ThreadPool, source: str) -> None:
        assert await pool.submit(source) == 1

    @pytest.mark.parametrize(
        "source", ["end return (function()", "end, 1, function(...)", "return 1 end do", "--[["]
    )
    async def test_code_that_closes_a_function_it_did_not_open_does_not_compile(
        self, pool: ThreadPool, source: str
    ) -> None:
        with pytest.raises(LuaError):
            await pool.submit(source)
        assert await pool.submit("return 'fine'") == "fine"

    async def test_many_different_sources_do_not_pile_up(self, pool: ThreadPool) -> None:
        futures = [pool.submit(f"return {i}") for i in range(2500)]
        assert await asyncio.gather(*futures) == list(range(2500))
        assert await pool.submit("return 0") == 0

    async def test_a_chunk_that_does_not_compile_takes_the_place_of_none(self, lua: str) -> None:
        async with ThreadPool("one", threads=1, lua=lua) as pool:
            for i in range(1000):
                await pool.submit(f"return {i}")
            with pytest.raises(LuaError):
                await pool.submit("syntax error")
            assert await pool.submit("return 'new'") == "new"
            assert [await pool.submit(f"return {i}") for i in (0, 1, 999)] == [0, 1, 999]

    async def test_too_many_arguments_are_refused(self, pool: ThreadPool) -> None:
        for last in (0, [0]):
            with pytest.raises(ThreadPoolError):
                await pool.submit("return select('#', ...)", *[1] * 1_100_000, last)
        assert await pool.submit("return 'fine'") == "fine"

    async def test_a_chunk_that_python_cannot_look_at_fails_by_itself(
        self, pool: ThreadPool
    ) -> None:
        class Evil(str):
            def __hash__(self) -> int:
                raise StopIteration

        futures = [pool.submit(Evil("return 1")), pool.submit("return 2")]
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        assert isinstance(outcomes[0], RuntimeError)
        assert outcomes[1] == 2
        assert pool.statistics().in_flight == 0

    async def test_a_second_pool_has_states_of_its_own(self, pool: ThreadPool, lua: str) -> None:
        async with ThreadPool("other", threads=1, lua=lua) as other:
            await other.submit("package.loaded.mark = 'other'")
            assert await other.submit("return package.loaded.mark") == "other"
            assert await pool.submit("return package.loaded.mark") is None


class TestEnvironment:
    async def test_globals_that_a_task_assigns_are_its_own(self, lua: str) -> None:
        async with ThreadPool("one", threads=1, lua=lua) as pool:
            assert await pool.submit("x = 1 _G.y = 2 return x, y, _G.x") == (1, 2, 1)
            assert await pool.submit("return x, y") == (None, None)

    async def test_code_that_a_task_loads_sees_and_sets_the_globals_of_the_task(
        self, lua: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "file.lua"
        file.write_text("from_file = seen")
        source = """
            local path = ...
            seen = 'task'
            local load = loadstring or load
            assert(load('from_string = seen'))()
            assert(loadfile(path))()
            local first = from_file
            from_file = nil
            dofile(path)
            return from_string, first, from_file
        """
        async with ThreadPool("one", threads=1, lua=lua) as pool:
            assert await pool.submit(source, str(file)) == ("task", "task", "task")
            assert await pool.submit("return seen, from_string, from_file") == (None,) * 3

    async def test_load_with_an_environment_uses_that(
        self, pool: ThreadPool, tmp_path: Path
    ) -> None:
        file = tmp_path / "file.lua"
        file.write_text("return x")
        source = """
            local given = {x = 'given'}
            return load('return x', 'name', 't', given)(), loadfile(..., 't', given)()
        """
        assert await pool.submit(source, str(file)) == ("given", "given")

    async def test_library_tables_are_there(self, pool: ThreadPool) -> None:
        assert await pool.submit("return ('x'):rep(3), math.max(1, 2)") == ("xxx", 2)

    async def test_python_is_out_of_reach(self, pool: ThreadPool) -> None:
        source = """
            local found = {}
            local seen = {}
            local function look(name, value)
              if type(value) == 'userdata' and not tostring(value):find('^file') then
                found[#found + 1] = name .. ' ' .. tostring(value)
              end
              if type(value) ~= 'table' or seen[value] then return end
              seen[value] = true
              for k, v in next, value do
                look(name .. '.' .. tostring(k), v)
                look(name .. '.key', k)
              end
            end
            look('_G', _G)
            look('globals', getfenv and getfenv(0) or {})
            look('loaded', package.loaded)
            return table.concat(found, '\\n')
        """
        assert await pool.submit("return python, package.loaded.python") == (None, None)
        found = (await pool.submit(source)).splitlines()
        assert [line for line in found if "Python" in line or "None" in line] == []

    async def test_os_exit_does_not_end_the_process(self, pool: ThreadPool) -> None:
        with pytest.raises(LuaError, match=r":1: os\.exit is not available on a thread pool"):
            await pool.submit("os.exit(3)")


class TestInit:
    async def test_what_init_leaves_in_globals_is_seen_by_every_task(self, lua: str) -> None:
        init = "answer = 42 function double(x) return 2 * x end"
        async with ThreadPool("one", threads=1, lua=lua, init=init) as pool:
            assert await pool.submit("return double(answer)") == 84

    async def test_init_runs_once_in_each_state(self, lua: str, tmp_path: Path) -> None:
        log = tmp_path / "log"
        init = Chunk(f"local f = io.open({str(log)!r}, 'a') f:write('made\\n') f:close()")
        async with ThreadPool("two", threads=2, lua=lua, init=init) as pool:
            assert not log.exists(), "states are made when they are needed"
            await asyncio.gather(*(pool.submit("return 1") for _ in range(50)))
        assert log.read_text().splitlines() in (["made"], ["made"] * 2)


class TestChunk:
    async def test_a_chunk_runs_many_times(self, pool: ThreadPool) -> None:
        square = Chunk("local x = ... return x * x", name="square")
        results = await asyncio.gather(*(pool.submit(square, i) for i in range(20)))
        assert results == [i * i for i in range(20)]

    async def test_a_chunk_from_a_file_names_the_file_and_line(
        self, pool: ThreadPool, tmp_path: Path
    ) -> None:
        file = tmp_path / "plugin.lua"
        file.write_text("#!/usr/bin/lua\n\nerror('no')\n")
        with pytest.raises(LuaError) as caught:
            await pool.submit(Chunk.from_file(file))
        assert str(caught.value).endswith("plugin.lua:3: no")
        assert caught.value.line == 3

    def test_a_file_that_is_missing_is_an_os_error(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            Chunk.from_file(tmp_path / "none.lua")

    def test_a_file_descriptor_is_no_path(self) -> None:
        with pytest.raises(TypeError):
            Chunk.from_file(0)  # type: ignore[arg-type]

    def test_bytecode_is_refused(self) -> None:
        with pytest.raises(ValueError, match="bytecode is refused"):
            Chunk(b"\x1bLua")

    @pytest.mark.parametrize("source", [7, None, bytearray(b"return 1")])
    def test_a_source_of_another_type_is_refused(self, source: Any) -> None:
        with pytest.raises(TypeError, match="source is str or bytes"):
            Chunk(source)

    def test_repr_shows_the_name(self) -> None:
        assert repr(Chunk("return 1", name="one")) == "<Chunk 'one'>"
        assert repr(Chunk("return 1\n")) == "<Chunk 'return 1...'>"


class TestCall:
    async def test_a_function_of_a_module_is_called(self, pool: ThreadPool) -> None:
        assert await pool.call("string", "rep", "ab", 3) == "ababab"
        with pytest.raises(TypeError, match="names of a module and of its function are str"):
            pool.call("string", 5)  # type: ignore[arg-type]

    async def test_a_module_of_the_package_path_is_loaded_once_per_state(
        self, lua: str, tmp_path: Path
    ) -> None:
        (tmp_path / "counter.lua").write_text(
            "local n = 0\nreturn { next = function(step) n = n + step return n end }\n"
        )
        async with ThreadPool(
            "one", threads=1, lua=lua, package_path=f"{tmp_path}/?.lua;;"
        ) as pool:
            assert [await pool.call("counter", "next", 2) for _ in range(3)] == [2, 4, 6]
            assert await pool.submit("return #package.path > ...", len(str(tmp_path)) + 10)

    async def test_a_missing_module_is_named(self, pool: ThreadPool) -> None:
        with pytest.raises(LuaError, match="module 'nowhere' not found"):
            await pool.call("nowhere", "f")

    async def test_a_missing_function_is_named(self, pool: ThreadPool) -> None:
        with pytest.raises(LuaError, match="^module 'string' has no function 'nope'"):
            await pool.call("string", "nope")

    async def test_what_is_no_function_is_named(self, pool: ThreadPool) -> None:
        with pytest.raises(LuaError, match="^'huge' of module 'math' is a number, not a function"):
            await pool.call("math", "huge")

    async def test_arguments_are_counted_from_the_functions_first(self, pool: ThreadPool) -> None:
        with pytest.raises(MarshalError, match="^argument 1: cannot pass a set"):
            await pool.call("string", "rep", {1})

    async def test_an_error_of_a_function_in_c_blames_no_code_of_ours(
        self, pool: ThreadPool
    ) -> None:
        for future in (
            pool.submit("return require('nowhere')"),
            pool.call("nowhere", "f"),
            pool.call("string", "rep"),
        ):
            with pytest.raises(LuaError) as caught:
                await future
            assert "threadpool_lua" not in caught.value.message
            assert caught.value.value == caught.value.message
            assert caught.value.chunk is None or caught.value.chunk.startswith("[string")

    async def test_a_module_that_fails_to_load_says_where(self, lua: str, tmp_path: Path) -> None:
        (tmp_path / "broken.lua").write_text("\nerror('broken')\n")
        async with ThreadPool("one", threads=1, lua=lua, package_path=f"{tmp_path}/?.lua") as pool:
            with pytest.raises(LuaError, match=r"broken\.lua:2: broken"):
                await pool.call("broken", "f")


class TestThreads:
    async def test_threads_are_named_after_pool_and_number(self, pool: ThreadPool) -> None:
        names = {thread.name for thread in threading.enumerate()}
        assert {"threadpool_lua test-0", "threadpool_lua test-1"} <= names

    async def test_in_debug_mode_use_from_another_thread_is_refused(self, lua: str) -> None:
        asyncio.get_running_loop().set_debug(True)
        async with ThreadPool("own", threads=1, lua=lua) as pool:
            with pytest.raises(RuntimeError, match='thread pool "own" is used from outside'):
                await asyncio.to_thread(pool.submit, "return 1")
            assert await pool.submit("return 1") == 1

    async def test_a_pool_that_is_not_open_says_so(self, lua: str) -> None:
        pool = ThreadPool("shut", lua=lua)
        with pytest.raises(PoolClosedError, match='thread pool "shut" is not open'):
            pool.submit("return 1")
        with pytest.raises(PoolClosedError, match='thread pool "shut" is not open'):
            await pool.room()


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"name": ""}, "name must not be empty"),
            ({"name": 1}, "name must be str, not int"),
            ({"threads": 0}, "threads must be at least 1, not 0"),
            ({"threads": True}, "threads must be int, not bool"),
            ({"threads": 1.5}, "threads must be int, not float"),
            ({"max_queue": -1}, "max_queue must be at least 0, not -1"),
            ({"lua": "lua50"}, "lua must be one of luajit21, .*, not 'lua50'"),
            ({"states": 0}, "states must be at least 1, not 0"),
            ({"package_path": b"?.lua"}, "package_path must be str, not bytes"),
            ({"package_cpath": 1}, "package_cpath must be str, not int"),
            ({"init": 1}, "init must be str or Chunk, or a sequence of these"),
            ({"encoding": "latin-1"}, "encoding must be 'utf-8' or None, not 'latin-1'"),
        ],
    )
    def test_a_bad_value_is_refused_by_name(self, arguments: Any, message: str) -> None:
        with pytest.raises((TypeError, ValueError), match=message):
            ThreadPool(**arguments)

    def test_an_unknown_parameter_is_a_type_error_and_nothing_else(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(TypeError, match="thread"):
            ThreadPool(thread=4)  # type: ignore[call-arg]
        gc.collect()
        assert capsys.readouterr().err == ""

    def test_the_defaults_are_nginxs(self) -> None:
        assert repr(ThreadPool()) == "<ThreadPool 'default' threads=32 not open>"


async def test_a_chunk_that_cannot_be_hashed_takes_no_others_place(pool: ThreadPool) -> None:
    class Source(str):
        __hash__ = None  # type: ignore[assignment]

    # More than a state keeps, so that there is a place to take.
    sources = [f"return {i}" for i in range(1001)]
    assert await asyncio.gather(*map(pool.submit, sources)) == list(range(1001))
    for _ in range(3):
        with pytest.raises(TypeError, match="unhashable"):
            await pool.submit(Source("return 'another'"))
    assert await asyncio.gather(*map(pool.submit, sources)) == list(range(1001))


async def test_a_task_cannot_change_how_others_find_their_globals(pool: ThreadPool) -> None:
    assert await pool.submit("return getmetatable(_G)") is False
    with pytest.raises(LuaError, match="cannot change a protected metatable"):
        await pool.submit("setmetatable(_G, {})")
    assert await pool.submit("return tostring(1)") == "1"
