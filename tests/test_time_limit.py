"""How long tasks may run in Lua, and how those are stopped that nobody waits for any more."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from threadpool_lua import (
    Chunk,
    LuaError,
    LuaTimeLimitError,
    PoolClosedError,
    ThreadPool,
    _implementation,
)
from threadpool_lua._limits import Limits
from threadpool_lua._ngx.worker import NgxWorker
from threadpool_lua._state import State, StateOptions

from .helpers import Gate, at_rest, blocks_at, run_python, until

asyncio_only = pytest.mark.asyncio(loop_factories=["asyncio"])
one_lua = pytest.mark.parametrize("lua", ["luajit21"])  # where it is Python that does it

LIMIT = 0.2  # seconds
ENDLESS = Chunk("while true do end", name="endless")
MESSAGE = f'the time limit of {LIMIT} s was exceeded (thread pool "test")'

# Its time passes step by step, and each of them is short.
STEPS = Chunk("while true do for i = 1, 10000 do end coroutine.yield(1) end", name="steps")


def limited(lua: str, **options: object) -> ThreadPool:
    """Return a pool of one thread and one state with a time limit."""
    options = {"threads": 1, "states": 1, "time_limit": LIMIT, **options}
    return ThreadPool("test", lua=lua, **options)  # type: ignore[arg-type]


async def fails_in_time(task: Awaitable[object]) -> LuaTimeLimitError:
    """Await what has to fail by the time limit, and return the error."""
    async with asyncio.timeout(20):
        with pytest.raises(LuaTimeLimitError) as caught:
            await task
    return caught.value


# -------------------------------------------------------------------------------------- the error


@pytest.mark.parametrize("lua", _implementation.NAMES)
async def test_a_task_that_runs_for_too_long_ends_by_an_error_of_its_own(lua: str) -> None:
    chunk = Chunk("local function spin()\n  while true do end\nend\nspin()", name="spin")
    async with limited(lua, init="made = tostring({})") as pool:
        state = await pool.submit("return made")
        error = await fails_in_time(pool.submit(chunk))
        assert isinstance(error, LuaError)
        assert isinstance(error, TimeoutError)
        assert type(error) is LuaTimeLimitError
        assert str(error) == error.message == f"spin:2: {MESSAGE}"
        assert (error.chunk, error.line) == ("spin", 2)
        assert error.traceback.startswith("stack traceback:\n\tspin:2: in ")
        assert "\n\tspin:4: in " in error.traceback
        assert "threadpool_lua/" not in error.traceback
        assert error.traceback in error.__notes__
        assert await pool.submit("return made") == state


@asyncio_only
async def test_thread_and_state_go_on_after_many_such_tasks(lua: str) -> None:
    async with limited(
        lua, time_limit=0.05, init="made = tostring({})", functions={"thread": threading.get_ident}
    ) as pool:
        probe = "return made, host.thread()"
        before = await pool.submit(probe)
        for _ in range(10):
            await fails_in_time(pool.submit(ENDLESS))
            assert await pool.submit(probe) == before
        await at_rest(pool)
        assert pool.statistics().states == 1


@asyncio_only
async def test_it_tells_the_place_in_a_coroutine_of_the_task(lua: str) -> None:
    chunk = Chunk("coroutine.wrap(function()\n  while true do end\nend)()", name="inner")
    async with limited(lua) as pool:
        error = await fails_in_time(pool.submit(chunk))
        assert str(error) == f"inner:2: {MESSAGE}"
        assert (error.chunk, error.line) == ("inner", 2)
        assert "inner:2:" in error.traceback


@asyncio_only
async def test_a_very_short_limit_is_a_limit(lua: str) -> None:
    async with limited(lua, time_limit=0.001) as pool:
        await fails_in_time(pool.submit(ENDLESS))


@one_lua
@asyncio_only
async def test_a_whole_number_is_a_limit(lua: str) -> None:
    async with limited(lua, time_limit=1) as pool:
        error = await fails_in_time(pool.submit(ENDLESS))
        assert "the time limit of 1 s was" in str(error)


@pytest.mark.parametrize("limit", [0, -1, -0.5, float("inf"), float("nan")])
def test_a_limit_is_more_than_nothing_and_finite(limit: float) -> None:
    with pytest.raises(ValueError, match="^time_limit must be more than 0 and finite, not "):
        ThreadPool(time_limit=limit)


@pytest.mark.parametrize("limit", ["1", True, [1]])
def test_a_limit_is_a_number(limit: object) -> None:
    with pytest.raises(TypeError, match="^time_limit must be a number, not "):
        ThreadPool(time_limit=limit)  # type: ignore[arg-type]


def test_interruptible_is_a_bool() -> None:
    with pytest.raises(TypeError, match="^interruptible must be bool, not int"):
        ThreadPool(interruptible=1)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------ what counts


@one_lua
@asyncio_only
async def test_the_time_in_host_functions_does_not_count(lua: str) -> None:
    async def wait() -> str:
        await asyncio.sleep(1.5 * LIMIT)
        return "async"

    def block() -> str:
        time.sleep(1.5 * LIMIT)
        return "plain"

    async with limited(lua, functions={"wait": wait, "block": block}) as pool:
        assert await pool.submit("return host.wait(), host.block(), host.wait()") == (
            "async",
            "plain",
            "async",
        )
        # Nor for the coroutines that the task makes.
        assert await pool.submit("return coroutine.wrap(function() return host.wait() end)()") == (
            "async"
        )


@one_lua
@asyncio_only
async def test_the_time_of_who_answers_yields_does_not_count(lua: str) -> None:
    async def answer(value: int) -> int:
        await asyncio.sleep(1.5 * LIMIT)
        return value + 1

    def answer_at_once(value: int) -> int:
        time.sleep(1.5 * LIMIT)  # The loop stands still.
        return value + 1

    chunk = "return coroutine.yield(1)"
    async with limited(lua) as pool:
        assert await pool.submit(chunk, on_yield=answer) == 2
        assert await pool.submit(chunk, on_yield=answer_at_once) == 2
        async for row in pool.stream("for i = 1, 2 do coroutine.yield(i) end"):
            assert row in (1, 2)
            await asyncio.sleep(1.5 * LIMIT)
        async with pool.create(chunk) as coroutine:
            assert await coroutine.resume() == 1
            await asyncio.sleep(1.5 * LIMIT)
            assert await coroutine.resume("resumed") == "resumed"


@one_lua
@asyncio_only
async def test_the_time_in_the_queue_does_not_count(lua: str) -> None:
    go_on = threading.Event()
    async with limited(lua, functions={"block": go_on.wait}) as pool:
        first = pool.submit("host.block() return 'first'")
        rest = [pool.submit("return ...", number) for number in range(3)]
        await asyncio.sleep(1.5 * LIMIT)
        assert not any(task.done() for task in rest)
        go_on.set()
        assert await asyncio.gather(first, *rest) == ["first", 0, 1, 2]


async def submitted(pool: ThreadPool) -> None:
    await pool.submit(STEPS)


async def submitted_with_on_yield(pool: ThreadPool) -> None:
    await pool.submit(STEPS, on_yield=lambda value: value)


async def submitted_with_async_on_yield(pool: ThreadPool) -> None:
    async def answer(value: int) -> int:
        await asyncio.sleep(0)
        return value

    await pool.submit(STEPS, on_yield=answer)


async def calling(name: str, pool: ThreadPool) -> None:
    await pool.submit(f"while true do for i = 1, 10000 do end host.{name}() end")


async def calling_a_plain_function(pool: ThreadPool) -> None:
    await calling("plain", pool)


async def calling_an_async_function(pool: ThreadPool) -> None:
    await calling("wait", pool)


async def calling_a_function_that_fails(pool: ThreadPool) -> None:
    await pool.submit("while true do pcall(host.fail) end")


async def streamed(pool: ThreadPool) -> None:
    async with pool.stream(STEPS) as rows:
        assert await anext(rows) == 1
        async for row in rows:
            assert row == 1


async def streamed_ahead(pool: ThreadPool) -> None:
    async for row in pool.stream(STEPS, prefetch=10):
        assert row == 1


async def resumed(pool: ThreadPool) -> None:
    async with pool.create(STEPS) as coroutine:
        try:
            while True:
                assert await coroutine.resume() == 1
        finally:
            assert coroutine.status == "failed"


@asyncio_only
@pytest.mark.parametrize(
    "run",
    [
        submitted,
        submitted_with_on_yield,
        submitted_with_async_on_yield,
        calling_a_plain_function,
        calling_an_async_function,
        calling_a_function_that_fails,
        streamed,
        streamed_ahead,
        resumed,
    ],
    ids=lambda run: run.__name__,
)
async def test_the_time_of_all_steps_adds_up(
    lua: str, run: Callable[[ThreadPool], Awaitable[None]]
) -> None:
    async def wait() -> None:
        await asyncio.sleep(0)

    def fail() -> None:
        raise ValueError

    functions = {"plain": time.monotonic, "wait": wait, "fail": fail}
    async with limited(lua, time_limit=0.1, functions=functions) as pool:
        error = await fails_in_time(run(pool))
        assert "the time limit of 0.1 s was exceeded (thread" in str(error)
        assert await pool.submit("return 1") == 1
        await at_rest(pool)


# Takes so much of the processor's time, of which there may be less than of the clock's.
BURN = """
    local seconds = ...
    local start = os.clock()
    while os.clock() - start < seconds do end
    return seconds
"""


@asyncio_only
async def test_each_item_of_map_has_all_the_time(lua: str) -> None:
    """Though many of them run in one go."""
    items = [0.0] * 2000 + [0.05] * 20
    async with asyncio.timeout(60), limited(lua, time_limit=0.5) as pool:
        assert [result async for result in pool.map(BURN, items)] == items


@asyncio_only
async def test_what_an_item_of_map_runs_before_it_pauses_counts(lua: str) -> None:
    """Though items that are quick come before it in one go."""
    burn = f"local start = os.clock() while os.clock() - start < {0.7 * LIMIT} do end "
    chunk = f"if ... == 200 then {burn} coroutine.yield() {burn} end return ..."
    results = []
    async with limited(lua, time_limit=LIMIT) as pool:

        async def consume() -> None:
            async for result in pool.map(chunk, range(300)):
                results.append(result)

        await fails_in_time(consume())
        assert results == list(range(200))


@asyncio_only
async def test_an_item_of_map_ends_it_in_its_place(lua: str) -> None:
    chunk = Chunk("if ... == 150 then while true do end end return ...", name="item")
    results = []
    async with limited(lua) as pool:

        async def consume() -> None:
            async for result in pool.map(chunk, range(300)):
                results.append(result)

        error = await fails_in_time(consume())
        assert str(error) == f"item:1: {MESSAGE}"
        assert "in pool.map, for item 151" in error.__notes__
        assert results == list(range(150))
        assert await pool.submit("return 1") == 1
        await at_rest(pool)


@one_lua
@asyncio_only
async def test_an_item_of_map_that_pauses_has_a_limit_too(lua: str) -> None:
    async def wait() -> None:
        await asyncio.sleep(1.5 * LIMIT)

    chunk = Chunk("host.wait() if ... == 3 then while true do end end return ...", name="item")
    results = []
    async with limited(lua, functions={"wait": wait}) as pool:

        async def consume() -> None:
            async for result in pool.map(chunk, range(5)):
                results.append(result)

        error = await fails_in_time(consume())
        assert str(error) == f"item:1: {MESSAGE}"
        assert results == [0, 1, 2]
        await at_rest(pool)


@asyncio_only
async def test_the_rows_before_the_limit_are_there(lua: str) -> None:
    rows = []
    async with limited(lua) as pool:

        async def consume() -> None:
            async for row in pool.stream(
                "for i = 1, 3 do coroutine.yield(i) end while true do end", prefetch=10
            ):
                rows.append(row)

        await fails_in_time(consume())
    assert rows == [1, 2, 3]


@asyncio_only
async def test_init_has_no_limit(lua: str) -> None:
    init = BURN.replace("...", str(2 * LIMIT)).replace("return", "done =")
    async with limited(lua, init=init) as pool:
        assert await pool.submit("return done") == 2 * LIMIT
        await fails_in_time(pool.submit(ENDLESS))


@asyncio_only
async def test_a_task_that_is_paused_in_the_same_state_is_unharmed(lua: str) -> None:
    go_on = asyncio.Event()
    chunk = """
        local local_, made = ..., tostring({})
        global = made
        local co = coroutine.wrap(function() host.wait() return 'inner' end)
        return local_, global == made, co(), coroutine.yield('ready')
    """
    async with limited(lua, threads=2, functions={"wait": go_on.wait}) as pool:
        paused = [
            pool.submit(chunk, number, on_yield=lambda value: value.upper()) for number in range(10)
        ]
        await until(lambda: pool.statistics().paused == 10)
        for _ in range(2):
            await fails_in_time(pool.submit(ENDLESS))
        go_on.set()
        async with asyncio.timeout(20):
            assert await asyncio.gather(*paused) == [
                (number, True, "inner", "READY") for number in range(10)
            ]


# ------------------------------------------------------------------- code that is not the chunk's


@pytest.mark.parametrize("lua", _implementation.NAMES)
@asyncio_only
async def test_modules_are_limited_as_the_chunk_is(lua: str, tmp_path: Path) -> None:
    (tmp_path / "spins.lua").write_text(
        "local M = {}\n"
        "function M.add(a, b) return a + b end\n"
        "function M.spin()\n"
        "  local n = 0\n"
        "  while true do n = M.add(n, 1) end\n"
        "end\n"
        "return M\n"
    )
    (tmp_path / "never.lua").write_text("while true do end\n")
    async with limited(lua, package_path=f"{tmp_path}/?.lua", threads=2) as pool:
        hot = "local add, n = require('spins').add, 0 for i = 1, 10000 do n = add(n, i) end"
        await pool.submit(hot)
        error = await fails_in_time(pool.submit("require('spins').spin()"))
        assert str(error).endswith(MESSAGE)
        assert error.chunk is not None
        assert error.chunk.endswith("spins.lua")
        await fails_in_time(pool.call("spins", "spin"))
        await fails_in_time(pool.submit("require('never')"))
        assert await pool.call("spins", "add", 1, 2) == 3


@pytest.mark.parametrize("lua", _implementation.NAMES)
def test_functions_of_init_are_limited_in_tasks(lua: str) -> None:
    """In a process of its own, which ends though compiled code may run in it for ever."""
    init = """
        function spin() while true do end end
        package.preload.spins = function() return {spin = function() while true do end end} end
    """
    done = run_python(
        f"""
        import asyncio, os
        from threadpool_lua import LuaTimeLimitError, ThreadPool

        async def main():
            async with ThreadPool(
                "test", threads=2, time_limit={LIMIT}, lua={lua!r}, init={init!r}
            ) as pool:
                for chunk in "spin()", "require('spins').spin()":
                    try:
                        await pool.submit(chunk)
                    except LuaTimeLimitError as error:
                        print(error.chunk, error.line, flush=True)
                os._exit(0)

        asyncio.run(main())
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "init 2\ninit 3\n", "")


@pytest.mark.parametrize("lua", _implementation.NAMES)
@asyncio_only
async def test_code_that_a_task_loads_is_limited(lua: str, tmp_path: Path) -> None:
    file = tmp_path / "file.lua"
    file.write_text("while true do end")
    async with limited(lua) as pool:
        await fails_in_time(pool.submit("(loadstring or load)('while true do end')()"))
        await fails_in_time(pool.submit("assert(loadfile(...))()", str(file)))
        await fails_in_time(pool.submit("dofile(...)", str(file)))


@pytest.mark.parametrize("name", _implementation.NAMES)
def test_functions_of_another_state_are_limited(name: str) -> None:
    limits = Limits("test", time=LIMIT, memory=None, interruptible=False, tasks=None)
    options = StateOptions(
        _implementation.load(name), None, None, init=(), as_text=True, ngx=NgxWorker()
    )
    home, away = (
        State(options),
        State(
            StateOptions(
                _implementation.load(name),
                None,
                None,
                init=(),
                as_text=True,
                limits=limits,
                ngx=NgxWorker(),
            )
        ),
    )
    function = home.export("local function f() while true do end end return function() f() end")
    with pytest.raises(LuaTimeLimitError):
        away.run(function, ())
    assert away.run("return 1", ()) == 1
    home.close()
    away.close()


@asyncio_only
async def test_the_compiler_of_luajit_works_where_there_is_nothing_to_stop() -> None:
    status = "return (jit.status()), (pcall(jit.on))"
    async with ThreadPool("free", threads=1) as pool:
        assert await pool.submit(status) == (True, True)
    async with ThreadPool("memory", threads=1, memory_limit=2**24) as pool:
        assert (await pool.submit(status))[0] is True
    async with limited("luajit21") as pool:
        with pytest.raises(LuaError, match="the compiler is off in a thread pool with limits"):
            await pool.submit("jit.on()")


# --------------------------------------------------------------------------- to-be-closed variables

CLOSES = """
    local function closing(name)
      return setmetatable({}, {__close = function() closed[#closed + 1] = name end})
    end
"""


@asyncio_only
async def test_to_be_closed_variables_of_what_is_ended_stay_as_they_are() -> None:
    """Once a hook has ended a coroutine, there are none that could end what would run in it."""
    chunk = (
        CLOSES
        + """
        local outer <close> = closing('outer')
        local inner <close> = closing('inner')
        if ... then coroutine.yield() end
        while true do end
    """
    )
    async with limited("lua54", init="closed = {}") as pool:
        for pauses in False, True:
            await fails_in_time(pool.submit(chunk, pauses))
        assert await pool.submit("return #closed") == 0


@pytest.mark.parametrize("lua", ["lua54", "lua55"])
def test_to_be_closed_variables_cannot_take_for_ever(lua: str) -> None:
    """In a process of its own, which ends though a thread may close them for ever."""
    closes_for_ever = """
        local _ <close> = setmetatable({}, {__close = function() while true do end end})
    """
    done = run_python(
        f"""
        import asyncio, os
        from threadpool_lua import Chunk, LuaError, ThreadPool

        async def main():
            async with ThreadPool("test", threads=1, time_limit={LIMIT}, lua={lua!r}) as pool:
                for ending in "while true do end", "return 1", "error('mine')":
                    try:
                        await pool.submit(Chunk({closes_for_ever!r} + ending, name="test"))
                    except LuaError as error:
                        print(type(error).__name__, error.chunk, error.line, flush=True)
                async with pool.create({closes_for_ever!r} + "coroutine.yield(1)") as coroutine:
                    print(await coroutine.resume(), flush=True)
                print(await pool.submit("return 2"), flush=True)
                os._exit(0)

        asyncio.run(main())
        """
    )
    assert done.stdout.splitlines() == [
        "LuaTimeLimitError test 3",
        "LuaTimeLimitError test 2",
        "LuaError test 3",
        "1",
        "2",
    ]
    assert done.returncode == 0
    assert done.stderr == (
        "a to-be-closed variable of an ended task failed: it has not ended in time\n"
    )


# -------------------------------------------------------------------------------- what is cancelled

STOPPABLE = {
    "time_limit": {"time_limit": 60},
    "interruptible": {"interruptible": True},
    "sandbox": {"sandbox": True},
}


@asyncio_only
@pytest.mark.parametrize("options", STOPPABLE.values(), ids=STOPPABLE)
async def test_a_running_task_that_is_cancelled_stops(lua: str, options: dict[str, object]) -> None:
    entered = asyncio.Event()
    loop = asyncio.get_running_loop()

    def enter() -> None:
        loop.call_soon_threadsafe(entered.set)

    options = {"time_limit": None, "functions": {"enter": enter}, **options}
    async with asyncio.timeout(20), limited(lua, **options) as pool:
        for chunk in (
            "while true do end",
            "while true do pcall(function() while true do end end) end",
        ):
            entered.clear()
            running = pool.submit("host.enter() " + chunk)
            await entered.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert await pool.submit("return 'free'") == "free"
        await at_rest(pool)
        assert pool.statistics().states == 1


@asyncio_only
async def test_a_task_that_runs_out_of_time_as_it_is_cancelled_makes_no_noise(lua: str) -> None:
    noise: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: noise.append(context))
    async with limited(lua, time_limit=0.05) as pool:
        for number in range(10):
            running = pool.submit(ENDLESS)
            await asyncio.sleep(0.045 + 0.001 * number)
            running.cancel()
            await asyncio.wait([running])
            assert await pool.submit("return 1") == 1
        await at_rest(pool)
    assert noise == []


@one_lua
@asyncio_only
async def test_what_asyncio_stops_to_wait_for_stops(lua: str) -> None:
    async with limited(lua, interruptible=True, time_limit=None) as pool:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await pool.submit(ENDLESS)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.submit(ENDLESS), 0.05)
        async with asyncio.timeout(20):
            assert await pool.submit("return 1") == 1


@asyncio_only
async def test_streams_coroutines_and_maps_that_are_left_stop(lua: str) -> None:
    yields_then_spins = "coroutine.yield(1) while true do end"
    async with asyncio.timeout(20), limited(lua, interruptible=True, time_limit=None) as pool:
        stream = pool.stream(yields_then_spins, prefetch=5)
        assert await anext(stream) == 1
        await until(lambda: pool.statistics().running == 1)
        await stream.aclose()
        assert await pool.submit("return 'after the stream'") == "after the stream"

        async with pool.create(yields_then_spins) as coroutine:
            assert await coroutine.resume() == 1
            step = coroutine.resume()
            await until(lambda: coroutine.status == "running")
        assert await pool.submit("return 'after the coroutine'") == "after the coroutine"
        assert step.cancelled()

        results = pool.map("if ... == 2 then while true do end end return ...", [1, 2, 3])
        assert await anext(results) == 1
        await results.aclose()  # type: ignore[attr-defined]
        assert await pool.submit("return 'after the map'") == "after the map"
        await at_rest(pool)


@asyncio_only
async def test_a_host_function_that_runs_when_its_task_is_cancelled_runs_to_its_end(
    lua: str,
) -> None:
    """Lua code is stopped, Python code is not."""
    entered, go_on, calls = threading.Event(), threading.Event(), []

    def block() -> None:
        calls.append("begins")
        entered.set()
        go_on.wait()
        calls.append("ends")

    async with limited(
        lua, interruptible=True, time_limit=None, functions={"block": block}
    ) as pool:
        running = pool.submit("host.block() host.block()")
        await until(entered.is_set)
        running.cancel()
        go_on.set()
        async with asyncio.timeout(20):
            assert await pool.submit("return 1") == 1
    assert calls == ["begins", "ends"]


@asyncio_only
@pytest.mark.parametrize("options", [{}, {"memory_limit": 2**24}], ids=["no limits", "memory"])
async def test_elsewhere_a_task_that_is_cancelled_runs_on(
    lua: str, options: dict[str, object], gate: Callable[[], Gate]
) -> None:
    """Until it ends by itself."""
    only = gate()
    async with (
        asyncio.timeout(20),
        limited(lua, time_limit=None, init="done = {}", **options) as pool,
    ):
        running = pool.submit(f"done.entered = true {blocks_at(only)} done.left = true")
        await only.entered()
        running.cancel()
        after = pool.submit("return done")
        await asyncio.sleep(LIMIT)
        assert not after.done()
        assert pool.statistics().running == 1
        only.open()
        assert await after == {"entered": True, "left": True}


@asyncio_only
@pytest.mark.parametrize("options", STOPPABLE.values(), ids=STOPPABLE)
async def test_closing_with_a_time_limit_stops_what_runs(
    lua: str, options: dict[str, object]
) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    functions = {"never": never}
    pool = limited(lua, **{"time_limit": None, "functions": functions, "threads": 2, **options})
    await pool.open()
    paused = pool.submit("while true do pcall(host.never) end")
    await until(lambda: pool.statistics().paused == 1)
    running = [pool.submit(ENDLESS) for _ in range(2)]
    await until(lambda: pool.statistics().running >= 1)
    async with asyncio.timeout(20):
        await pool.aclose(timeout=0.05)
    for task in paused, *running:
        with pytest.raises(PoolClosedError, match="closed before the task had ended"):
            await task
    await until(lambda: "closed" in repr(pool))


@one_lua
@asyncio_only
async def test_closing_without_one_lets_them_run_into_the_limit(lua: str) -> None:
    async with asyncio.timeout(20), limited(lua) as pool:
        running = [pool.submit(ENDLESS) for _ in range(3)]
    for task in running:
        assert isinstance(task.exception(), LuaTimeLimitError)


@asyncio_only
async def test_a_block_that_is_cancelled_stops_what_runs(lua: str) -> None:
    pools = []

    async def block() -> None:
        async with limited(lua, interruptible=True, time_limit=None) as pool:
            pools.append(pool)
            await pool.submit(ENDLESS)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await block()
    await until(lambda: repr(pools[0]).endswith("closed>"))


# ------------------------------------------------------------------------ what limits do not change


def limits_of(lua: str) -> list[dict[str, object]]:
    """Return the options of pools in which other functions stand in for Lua's own."""
    limits: list[dict[str, object]] = [{"time_limit": 10}]
    if lua != "luajit20":
        limits.append({"time_limit": None, "memory_limit": 2**28})
    return limits


@pytest.mark.parametrize("lua", _implementation.NAMES)
@asyncio_only
async def test_nothing_stays_nothing(lua: str) -> None:
    """What returns or yields no value does not return or yield one nil."""
    async with ThreadPool("free", threads=1, lua=lua) as free:
        counts = """
            local function nothing() end
            local function yields() coroutine.yield() return coroutine.yield() end
            local co = coroutine.create(yields)
            local wrapped = coroutine.wrap(yields)
            return list {
              select('#', pcall(nothing)),
              select('#', pcall(pcall, nothing)),
              select('#', xpcall(nothing, print)),
              select('#', coroutine.resume(co)),
              select('#', coroutine.resume(co)),
              select('#', coroutine.resume(co)),
              select('#', wrapped()),
              select('#', wrapped()),
              select('#', wrapped()),
              select('#', pcall(host.nothing)),
              select('#', coroutine.wrap(host.nothing)()),
              select('#', coroutine.wrap(pcall)(host.nothing)),
            }
        """
        free.function(lambda: (), name="nothing")
        expected = await free.submit(counts)
        in_pcall = 2 if lua == "lua51" else 1  # Its pcall is no place for a task to pause.
        assert expected == [1, 2, 1, 1, 1, 1, 0, 0, 0, in_pcall, 0, in_pcall]
    for options in limits_of(lua):
        async with limited(lua, functions={"nothing": lambda: ()}, **options) as pool:
            yielded: list[tuple[object, ...]] = []

            def on_yield(*values: object, into: list[tuple[object, ...]] = yielded) -> None:
                into.append(values)

            await pool.submit(
                "coroutine.yield() coroutine.yield() coroutine.yield(nil)", on_yield=on_yield
            )
            assert yielded == [(), (), (None,)]
            assert await pool.submit(counts) == expected


# One line each, and the same comes of them whether there are limits or not.
SAME = r"""
return pcall(error)
return pcall(error, 'x')
return pcall(error, {code = 1})
local function f() error('inner', 2) end local function g() f() end return pcall(g)
local function f() error('x', 3) end local function g() f() end return pcall(function() g() end)
error('plain')
error('plain', 0)
error()
error({1})
error(12)
error(setmetatable({}, {__tostring = function() return 'shown' end}))
local x = nil; return x.y
return 1 + {}
return pcall(assert, false)
return pcall(assert, nil, 'm')
return select('#', assert(1, 2, 3)), assert(1, 2, 3)
assert(false)
assert(false, 'mine')
return xpcall(error, function(why) return 'handled', why end, 'x')
return xpcall(function() error('x') end, function(why) return why .. '!' end)
return xpcall(function() local x = nil + 1 end, function(why) return why end)
return pcall(table.sort, {3, 1, 2, 5, 4}, function(a, b) error('cmp') end)
return pcall(table.sort, {{}, {}})
local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return t
local t = {1, 2, 3} table.insert(t, 2, 'x') table.insert(t, 'y') table.insert(t, 1, 'z') return t
local t = {1, 2, 3} return table.remove(t), table.remove(t, 1), t, table.remove({})
return select('#', table.remove({}))
local t = setmetatable({1, 2}, {}) table.insert(t, 1, 0) return table.concat(t), table.remove(t, 1)
return table.concat({1, 2.5, 'x'}, ', ', 2, 3), table.concat({}), pcall(table.concat, {{}})
return table.move and table.move({1, 2, 3}, 1, 3, 2), table.move and table.move({1, 2, 3}, 2, 3, 1)
return ('x'):rep(3, '-'), ('x'):rep(0), ('x'):rep(-1), ('ab'):rep(2), (pcall(string.rep, {}, 1))
return ('x'):upper(), ('X'):lower(), ('abc'):reverse(), pcall(string.upper, nil) == false
return ('hello'):find('l'), ('hello'):find('l', 4), ('hello'):find('x'), ('a.b'):find('.', 2, true)
return ('key = value'):match('(%w+)%s*=%s*(%w+)'), ('  x '):match('^%s*(.-)%s*$')
return ('f(a(b)c)d'):match('%b()'), ('THE (quick) fox'):find('%((%a+)%)')
return ('hello world'):gsub('o', '0'), ('abc'):gsub('', '-'), ('abc'):gsub('%w', '%0%0', 2)
return ('hello'):gsub('l', {l = 'L'}), ('hello'):gsub('l', function() end)
return pcall(string.gsub, 'a', '(', 'x')
return pcall(string.gsub, 'abc', 'b', function() error('callback') end)
return (loadstring or load)('return 1 +', '=name')
return (loadstring or load)('return ...')(1, 2)
return load(function() error('reader') end)
local n = 0 return load(function() n = n + 1 return ({'return ', '4', '2'})[n] end, '=pieces')()
return pcall((loadstring or load)('error("x")', '=inner'))
return loadfile('/nonexistent')
return pcall(setmetatable, setmetatable({}, {__metatable = 'locked'}), {})
return coroutine.resume(coroutine.create(function(...) coroutine.yield(...) end), 1, nil)
return coroutine.resume(coroutine.create(function() error('in co') end))
local co = coroutine.wrap(function() error('in wrap') end) return pcall(co)
local co = coroutine.wrap(function() error({1}) end) return pcall(co)
local co = coroutine.wrap(function() return 1 end) co() return pcall(co)
local co co = coroutine.wrap(function() return pcall(co) end) return co()
return (pcall(coroutine.create, 1)), (pcall(coroutine.wrap, 1)), (pcall(coroutine.resume, 1))
return coroutine.close and coroutine.close(coroutine.create(function() end))
return select('#', coroutine.yield(1)), coroutine.yield(2, nil)
return pcall(host.fail)
host.fail()
return coroutine.wrap(function() return host.later(1) end)()
return pcall(function() host.x = 1 end)
local function f(n) if n == 0 then return 0 end return f(n - 1) end return f(100000)
return 1, nil
return {n = 1, list {}, null}
"""


@pytest.mark.parametrize("lua", _implementation.NAMES)
@asyncio_only
async def test_what_code_does_is_the_same(lua: str) -> None:
    def fail() -> None:
        raise ValueError("no")

    async def later(value: object) -> object:
        await asyncio.sleep(0)
        return value

    async def outcome(pool: ThreadPool, line: str) -> object:
        yielded = []

        def on_yield(*values: object) -> tuple[object, ...]:
            yielded.append(values)
            return values

        try:
            return await pool.submit(Chunk(line, name="line"), on_yield=on_yield), yielded
        except LuaError as error:
            return type(error), str(error), error.value, error.chunk, error.line
        except ValueError as error:
            return type(error), str(error)

    functions = {"fail": fail, "later": later}
    async with ThreadPool("free", threads=1, lua=lua, functions=functions) as free:
        for options in limits_of(lua):
            async with limited(lua, functions=functions, **options) as pool:
                for line in SAME.strip().splitlines():
                    assert await outcome(pool, line) == await outcome(free, line), line
                # A handler there must be, though Lua words it in many ways.
                assert await pool.submit("return (pcall(xpcall, function() end))") is False


# What functions of the libraries refuse.
REFUSED = """
local x = ('x'):rep({})
local x = string.upper({})
local x = ('x'):find({})
local x = ('x'):gsub('x', '%2')
local x = table.concat({{}})
local x = table.remove(1)
local x = coroutine.create(1)
local x = coroutine.wrap(1)
local x = setmetatable(1, {})
table.insert(1, 2)
table.sort(1)
"""


@pytest.mark.parametrize("lua", _implementation.NAMES)
@asyncio_only
async def test_errors_tell_where_a_function_of_a_library_was_called(lua: str) -> None:
    async def place(pool: ThreadPool, line: str) -> tuple[bool, int | None]:
        with pytest.raises(LuaError) as caught:
            await pool.submit(Chunk(line, name="line"))
        return str(caught.value).startswith("line:1: "), caught.value.line

    async with ThreadPool("free", threads=1, lua=lua) as free, limited(lua) as pool:
        lines = REFUSED.strip().splitlines()
        assert [line for line in lines if await place(pool, line) != await place(free, line)] == []


@pytest.mark.parametrize("lua", _implementation.NAMES)
@asyncio_only
async def test_a_stack_that_overflows_is_an_error_and_in_time(lua: str) -> None:
    """Again and again, whether it is caught or not."""
    overflow = "local function f() return 1 + f() end "
    async with limited(lua, time_limit=10) as pool:
        for _ in range(2):
            assert await pool.submit(overflow + "return (pcall(f))") is False
            with pytest.raises(LuaError, match="stack overflow"):
                await pool.submit(overflow + "f()")
