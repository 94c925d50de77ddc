"""How much memory the tasks of a state may use, and what becomes of the state beyond that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from threadpool_lua import (
    Chunk,
    LuaError,
    LuaMemoryLimitError,
    StateLostError,
    ThreadPool,
    _implementation,
)

from .helpers import at_rest, run_python, until

asyncio_only = pytest.mark.asyncio(loop_factories=["asyncio"])

MIB = 2**20
LIMIT = 8 * MIB
MESSAGE = f'the memory limit of {LIMIT} bytes was exceeded (thread pool "test")'
NAMES = [name for name in _implementation.NAMES if name != "luajit20"]

EAT = Chunk("local all = {}\nfor i = 1, 1e9 do\n  all[i] = {i}\nend", name="eat")

# Keeps so many bytes of strings, in a table that is returned.
KEEP = """
    local function keep(bytes)
      local all = {}
      for i = 1, bytes / 10000 do all[i] = ('x'):rep(9990) .. i end
      return all
    end
"""


def limited(lua: str, **options: object) -> ThreadPool:
    """Return a pool of one thread and one state with a memory limit."""
    options = {"threads": 1, "states": 1, "memory_limit": LIMIT, **options}
    return ThreadPool("test", lua=lua, **options)  # type: ignore[arg-type]


async def fails_for_memory(task: Awaitable[object]) -> LuaMemoryLimitError:
    """Await what has to fail by the memory limit, and return the error."""
    async with asyncio.timeout(20):
        with pytest.raises(LuaMemoryLimitError) as caught:
            await task
    return caught.value


# -------------------------------------------------------------------------------------- the error


@pytest.mark.parametrize("lua", NAMES)
async def test_a_task_that_uses_too_much_ends_by_an_error_of_its_own(lua: str) -> None:
    async with limited(lua, init="made = tostring({})") as pool:
        state = await pool.submit("return made")
        error = await fails_for_memory(pool.submit(EAT))
        assert type(error) is LuaMemoryLimitError
        assert isinstance(error, LuaError)
        assert isinstance(error, MemoryError)
        # LuaJIT does not know any more where it was.
        place = "" if lua == "luajit21" else "eat:3: "
        assert str(error) == error.message == place + MESSAGE
        assert (error.chunk, error.line) == ((None, None) if lua == "luajit21" else ("eat", 3))
        assert error.traceback.startswith("stack traceback:\n\teat:")
        assert "threadpool_lua/" not in error.traceback
        assert await pool.submit("return made") == state


@asyncio_only
async def test_the_state_goes_on_after_many_such_tasks(lua: str) -> None:
    async with limited(lua, init="made = tostring({})") as pool:
        state = await pool.submit("return made")
        for _ in range(30):
            await fails_for_memory(pool.submit(EAT))
            assert await pool.submit(KEEP + "keep(1e6) return made") == state
        await at_rest(pool)


@asyncio_only
async def test_a_limit_of_memory_goes_with_one_of_time(lua: str) -> None:
    async with limited(lua, time_limit=10, interruptible=True) as pool:
        await fails_for_memory(pool.submit(EAT))
        assert await pool.submit("return 1") == 1


@asyncio_only
async def test_a_sandbox_has_a_limit(lua: str) -> None:
    async with ThreadPool("test", threads=1, lua=lua, sandbox=True) as pool:
        error = await fails_for_memory(pool.submit(EAT))
        assert f"the memory limit of {64 * MIB} bytes was exceeded" in str(error)


@pytest.mark.parametrize("limit", [0, -1, MIB - 1])
def test_a_limit_leaves_room_for_a_state(limit: int) -> None:
    with pytest.raises(
        ValueError, match=f"^memory_limit must be at least {MIB} bytes, not {limit}"
    ):
        ThreadPool(memory_limit=limit)


@pytest.mark.parametrize("limit", ["1", True, 1e9])
def test_a_limit_is_a_whole_number(limit: object) -> None:
    with pytest.raises(TypeError, match="^memory_limit must be "):
        ThreadPool(memory_limit=limit)  # type: ignore[arg-type]


def test_luajit20_has_no_limit() -> None:
    with pytest.raises(ValueError, match="luajit20 cannot limit its memory; luajit21 can"):
        ThreadPool(lua="luajit20", memory_limit=LIMIT)
    with pytest.raises(ValueError, match="luajit20 cannot limit its memory; luajit21 can"):
        ThreadPool(lua="luajit20", sandbox=True)


@pytest.mark.parametrize("lua", NAMES)
async def test_the_least_limit_is_enough_for_small_tasks(lua: str) -> None:
    async with limited(lua, memory_limit=MIB, time_limit=10) as pool:
        for number in range(100):
            assert await pool.submit("return ...", [number, {"text": "x" * 100}]) == [
                number,
                {"text": "x" * 100},
            ]


# ------------------------------------------------------------------------------- what is no excess


@pytest.mark.parametrize("lua", NAMES)
@pytest.mark.parametrize("time_limit", [None, 20], ids=["memory", "memory and time"])
@pytest.mark.parametrize("size", [10_000, 100_000, 1_000_000])
@asyncio_only
async def test_garbage_does_not_count(lua: str, time_limit: float | None, size: int) -> None:
    """Nor while half of the memory is in use, and the rest has room for many a piece."""
    chunk = """
        local in_use, size = ...
        local kept
        while collectgarbage('count') * 1024 < in_use do kept = {kept} end
        for i = 1, 300 do local text = ('x'):rep(size) .. i end
        for i = 1, 100000 do local item = {i} end
        return true
    """
    limit = max(LIMIT, 16 * size)
    async with (
        asyncio.timeout(30),
        limited(lua, memory_limit=limit, time_limit=time_limit) as pool,
    ):
        for share in 0, 0.3, 0.5:
            assert await pool.submit(chunk, limit * share, size)


@asyncio_only
async def test_tasks_that_pause_leave_no_memory_behind(lua: str) -> None:
    """Nor those that fail, and those that are ended."""

    async def wait() -> None:
        await asyncio.sleep(0)

    def fail() -> None:
        raise ValueError("no")

    used = "collectgarbage() collectgarbage() return collectgarbage('count')"
    chunks = [
        KEEP + "keep(1e5) coroutine.yield() return 1",
        KEEP + "local kept = keep(1e5) host.wait() return #kept",
        KEEP + "local kept = keep(1e5) error(kept)",
        KEEP + "local kept = keep(1e5) return kept",
        KEEP + "local kept = keep(1e5) host.fail(kept)",
        KEEP + "local kept = keep(1e5) return #coroutine.wrap(function() return kept end)()",
        "return (",
        "return print",
        EAT,
    ]
    async with asyncio.timeout(60), limited(lua, functions={"wait": wait, "fail": fail}) as pool:

        async def round_() -> None:
            await asyncio.gather(*(pool.submit(chunk) for chunk in chunks), return_exceptions=True)
            stream = pool.stream(KEEP + "local kept = keep(1e5) coroutine.yield(1)")
            await anext(stream)
            await stream.aclose()
            async with pool.create(KEEP + "local kept = keep(1e5) coroutine.yield(1)") as coroutine:
                await coroutine.resume()
            assert await pool.submit("return #..., ...", ["x" * 10000] * 10) is not None

        for _ in range(10):
            await round_()
        before = await pool.submit(used)
        for _ in range(30):
            await round_()
        assert await pool.submit(used) < before + 100  # kilobytes
        assert pool.statistics().states == 1


# ----------------------------------------------------------------------------------- its neighbours


@asyncio_only
async def test_paused_tasks_go_on_where_there_is_memory_again(lua: str) -> None:
    go_on = asyncio.Event()
    async with limited(lua, functions={"wait": go_on.wait}) as pool:
        paused = [
            pool.submit(KEEP + "local kept = keep(1e5) host.wait() return #kept, ...", number)
            for number in range(10)
        ]
        await until(lambda: pool.statistics().paused == 10)
        for _ in range(3):
            await fails_for_memory(pool.submit(EAT))
        go_on.set()
        assert await asyncio.gather(*paused) == [(10, number) for number in range(10)]


@asyncio_only
async def test_a_state_that_stays_full_is_replaced_and_its_paused_tasks_are_told(lua: str) -> None:
    go_on = asyncio.Event()
    async with limited(lua, init="made = tostring({})", functions={"wait": go_on.wait}) as pool:
        state = await pool.submit("return made")
        coroutine = pool.create("coroutine.yield(1)")
        assert await coroutine.resume() == 1
        stream = pool.stream("coroutine.yield(1)")
        assert await anext(stream) == 1
        paused = pool.submit(
            """
            local kept
            while collectgarbage('count') * 1024 < ... do kept = {kept} end
            host.wait()
            """,
            LIMIT * 0.85,
        )
        await until(lambda: pool.statistics().paused == 1)
        await fails_for_memory(pool.submit(EAT))
        async with asyncio.timeout(20):
            with pytest.raises(StateLostError) as caught:
                await paused
            error = caught.value
            assert (error.name, error.reason) == ("test", "it ran out of memory")
            assert str(error) == (
                'thread pool "test": the Lua state of a paused task is lost: it ran out of memory'
            )
            # Those whose owner has them hear of it when they are to go on.
            with pytest.raises(StateLostError):
                await coroutine.resume()
            assert coroutine.status == "failed"
            with pytest.raises(StateLostError):
                await anext(stream)
            assert await pool.submit("return made") != state
            await coroutine.close()
            await stream.aclose()
        await at_rest(pool)
        assert pool.statistics().states == 1


@asyncio_only
async def test_what_is_left_in_shared_tables_is_gone_with_the_state(lua: str) -> None:
    """A cache that nobody clears fails a task now and then, and not all tasks for ever."""
    chunk = KEEP + "for _, text in ipairs(keep(2e5)) do cache[#cache + 1] = text .. #cache end"
    failures = 0
    async with asyncio.timeout(60), limited(lua, init="cache = {}") as pool:
        for _ in range(200):
            try:
                await pool.submit(chunk)
            except LuaMemoryLimitError:
                failures += 1
        assert await pool.submit("return 1") == 1
        await at_rest(pool)
    assert 1 <= failures <= 20


@asyncio_only
async def test_a_source_that_is_too_large_fails_alone(lua: str) -> None:
    large = f"return #'{'x' * (2 * LIMIT)}'"
    many = "local t = {" + ", ".join(f"'{number}'" for number in range(200000)) + "} return #t"
    async with asyncio.timeout(30), limited(lua) as pool:
        for source in large, many:
            with pytest.raises(LuaError):
                await pool.submit(source)
            for _ in range(3):
                assert await pool.submit("return 1") == 1
        await at_rest(pool)


@asyncio_only
async def test_many_such_tasks_at_once_leave_the_pool_whole(lua: str) -> None:
    async def wait() -> None:
        await asyncio.sleep(0)

    eats_and_waits = "host.wait() local t = {} for i = 1, 1e9 do t[i] = {i} end"
    async with (
        asyncio.timeout(60),
        limited(lua, threads=4, states=4, functions={"wait": wait}) as pool,
    ):
        tasks = []
        for number in range(100):
            tasks.append(pool.submit((EAT, eats_and_waits)[number % 2]))
            tasks.append(pool.submit("host.wait() return ...", number))
            tasks.append(pool.submit("return ...", [number]))
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes[::3]} == {LuaMemoryLimitError}
        for number, outcome in enumerate(outcomes[1::3]):
            assert outcome == number or isinstance(outcome, StateLostError)
        assert outcomes[2::3] == [[number] for number in range(100)]
        await at_rest(pool)
        statistics = pool.statistics()
        assert statistics.threads == 4
        assert 1 <= statistics.states <= 4


# ------------------------------------------------------------------------- at the edge of the limit

# A Lua error while lupa passes a value would end the process, so this is one of its own. Values of
# about the limit go all the ways that there are, and after each the pool must serve.
AT_THE_EDGE = """
    import asyncio, sys
    from threadpool_lua import *

    LIMIT = 2**20
    VALUES = [
        lambda size: "x" * size,
        lambda size: ["x" * 1000] * (size // 1000),
        lambda size: [f"{number:08}" for number in range(size // 40)],
        lambda size: {str(number): [number] for number in range(size // 100)},
    ]
    lua, = sys.argv[1:]
    pool = ThreadPool("edge", threads=1, lua=lua, memory_limit=LIMIT)
    host_value = None

    @pool.function
    def echo(value):
        return value

    @pool.function
    async def later(value):
        return value

    @pool.function
    def give():
        return host_value

    @pool.function
    def fail():
        raise ValueError(str(host_value))

    async def argument(value):
        await pool.submit("local x = ... return #x", value)

    async def several_arguments(value):
        assert await pool.submit("local x, y, z = ... return z", value, value, "z") == "z"

    async def result(value):
        await pool.submit("return ...", value)

    async def several_results(value):
        await pool.submit("return ..., ..., 1", value)

    async def result_made_in_lua(value):
        await pool.submit(
            "local t = {} for i = 1, ... do t[i] = {tostring(i)} end return t", len(value)
        )

    async def string_made_in_lua(value):
        await pool.submit("return ('x'):rep(...)", len(value) * 10)

    async def yielded_and_answered(value):
        await pool.submit("return coroutine.yield(...)", value, on_yield=lambda value: value)

    async def row(value):
        async for _ in pool.stream("coroutine.yield(...)", value):
            pass

    async def resumed(value):
        async with pool.create("local x repeat x = coroutine.yield(1) until false") as coroutine:
            await coroutine.resume()
            await coroutine.resume(value)

    async def argument_of_host_functions(value):
        await pool.submit("local x = ... return #host.later(host.echo(x))", value)

    async def result_of_a_host_function(value):
        global host_value
        host_value = value
        await pool.submit("local x = host.give() return #x")

    async def error_of_a_host_function(value):
        global host_value
        host_value = value
        try:
            await pool.submit("host.fail()")
        except ValueError:
            pass

    async def error_value(value):
        try:
            await pool.submit("error((...))", value)
        except LuaMemoryLimitError:
            raise
        except LuaError:
            pass

    async def mapped(value):
        async for _ in pool.map("return ...", [value, value]):
            pass

    async def outcome(way, value):
        try:
            await way(value)
        except (LuaMemoryLimitError, StateLostError) as error:
            return type(error).__name__
        return "fine"

    async def main():
        async with pool:
            for way in (
                argument, several_arguments, result, several_results, result_made_in_lua,
                string_made_in_lua, yielded_and_answered, row, resumed,
                argument_of_host_functions, result_of_a_host_function, error_of_a_host_function,
                error_value, mapped,
            ):
                outcomes = set()
                for make in VALUES:
                    for share in 0.05, 0.2, 0.5, 0.8, 1, 2:
                        outcomes.add(await outcome(way, make(int(LIMIT * share))))
                        assert await pool.submit("return 1") == 1, (way, share)
                print(way.__name__, sorted(outcomes), flush=True)

    asyncio.run(main())
"""


@pytest.mark.parametrize("lua", ["luajit21", "lua51", "lua54"])
def test_values_of_about_the_limit_pass_or_fail_and_harm_nothing(lua: str) -> None:
    done = run_python(AT_THE_EDGE, lua, timeout=100)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 14
    for line in lines:
        assert line.endswith(" ['LuaMemoryLimitError', 'fine']")
    assert {*done.stderr.splitlines()} <= {
        'thread pool "edge": a Lua state is lost: it ran out of memory'
    }


@asyncio_only
async def test_items_of_map_that_there_is_no_memory_for(lua: str) -> None:
    large = [str(number) * (LIMIT // 4) for number in range(8)]
    async with asyncio.timeout(30), limited(lua) as pool:
        with pytest.raises(LuaMemoryLimitError):
            async for _ in pool.map("return 1", [1] * 50 + [large]):
                pass
        assert await pool.submit("return 1") == 1
