"""What goes wrong around tasks in a pool with limits, and that the pool serves on."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from threadpool_lua import (
    Chunk,
    InitError,
    LuaError,
    LuaMemoryLimitError,
    LuaTimeLimitError,
    MarshalError,
    PoolClosedError,
    StateLostError,
    ThreadPool,
)

from .helpers import Gate, at_rest, blocks_at, run_python, until

asyncio_only = pytest.mark.asyncio(loop_factories=["asyncio"])
one_lua = pytest.mark.parametrize("lua", ["luajit21"])  # where it is Python that does it

LIMIT = 0.2  # seconds
ENDLESS = Chunk("while true do end", name="endless")
IN_C = "a function of C has not returned in it"
NAME = "name = tostring({})"  # for `init`: tells states apart


def limited(lua: str, **options: object) -> ThreadPool:
    """Return a pool of two threads with limits."""
    options = {"threads": 2, "time_limit": LIMIT, "memory_limit": 2**25, **options}
    return ThreadPool("test", lua=lua, **options)  # type: ignore[arg-type]


def thread_count() -> int:
    """Return how many threads pools have, those that are stuck among them."""
    return sum(thread.name.startswith("threadpool_lua") for thread in threading.enumerate())


async def is_stuck(task: Awaitable[object]) -> LuaTimeLimitError:
    """Await a task that a function of C does not let go of, and return its error."""
    async with asyncio.timeout(20):
        with pytest.raises(
            LuaTimeLimitError, match="in a function of C that has not ret"
        ) as caught:
            await task
    return caught.value


async def serves_with(pool: ThreadPool, threads: int) -> None:
    """Check that so many threads of a pool run tasks at the same time."""
    meet = threading.Barrier(threads)

    @pool.function
    def meet_others() -> None:
        meet.wait(10)

    async with asyncio.timeout(20):
        await asyncio.gather(*(pool.submit("host.meet_others()") for _ in range(threads)))
    assert pool.statistics().threads == threads


# ---------------------------------------------------------------------------------- init


@asyncio_only
async def test_an_init_that_fails_is_tried_again(lua: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    init = f"assert(io.open({str(file)!r}), 'no file yet'):close() ready = true"
    async with limited(lua, init=init) as pool:
        for _ in range(3):
            with pytest.raises(InitError, match="no file yet"):
                await pool.submit("return ready")
        file.touch()
        assert await pool.submit("return ready") is True
        with pytest.raises(LuaTimeLimitError):
            await pool.submit(ENDLESS)
        assert await pool.submit("return ready") is True
        await at_rest(pool)


@asyncio_only
async def test_an_init_that_fails_where_a_state_is_replaced_is_tried_again(
    lua: str, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()
    init = f"assert(io.open({str(file)!r}), 'no file now'):close()"
    async with limited(lua, init=init, threads=1, max_tasks_per_state=2) as pool:
        assert [await pool.submit("return 1") for _ in range(2)] == [1, 1]
        file.unlink()
        for _ in range(3):
            with pytest.raises(InitError, match="no file now"):
                await pool.submit("return 1")
        file.touch()
        assert [await pool.submit("return 1") for _ in range(5)] == [1] * 5
        await at_rest(pool)
        assert pool.statistics().states <= 1


@asyncio_only
async def test_an_init_that_leaves_no_memory_fails_tasks_and_not_the_pool(lua: str) -> None:
    init = "all = {} for i = 1, 200000 do all[i] = {i} end"
    async with asyncio.timeout(20), limited(lua, memory_limit=2**20, init=init) as pool:
        outcomes = await asyncio.gather(
            *(pool.submit("return {1}") for _ in range(5)), return_exceptions=True
        )
        assert {type(outcome) for outcome in outcomes} <= {LuaMemoryLimitError, InitError}
        await at_rest(pool)


# ---------------------------------------------------------------------------------- host functions


@asyncio_only
async def test_host_functions_that_fail_or_return_nonsense_fail_their_task_alone(lua: str) -> None:
    async def fails_later() -> None:
        await asyncio.sleep(0)
        raise KeyError("later")

    def fails() -> None:
        raise KeyError("now")

    async def returns_nonsense_later() -> object:
        return object()

    functions: dict[str, Callable[..., object]] = {
        "fails": fails,
        "fails_later": fails_later,
        "nonsense": object,
        "nonsense_later": returns_nonsense_later,
        "deep": lambda: _nested(1000),
    }
    async with asyncio.timeout(20), limited(lua, functions=functions) as pool:
        for _ in range(10):
            for name in "fails", "fails_later":
                with pytest.raises(KeyError):
                    await pool.submit(f"host.{name}()")
            for name in "nonsense", "nonsense_later", "deep":
                with pytest.raises(MarshalError, match=f"host.{name}"):
                    await pool.submit(f"host.{name}()")
                assert await pool.submit(f"return (pcall(host.{name}))") is False
        await at_rest(pool)
        await serves_with(pool, 2)


def _nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@one_lua
@asyncio_only
async def test_host_functions_that_hang_are_no_functions_of_c(lua: str) -> None:
    """The time in Python does not count, however long it is."""
    go_on, never = threading.Event(), asyncio.Event()
    functions = {"block": go_on.wait, "wait": never.wait}
    async with asyncio.timeout(20), limited(lua, states=1, functions=functions) as pool:
        blocked = pool.submit("return host.block()")
        waiting = pool.submit("host.wait()")
        await asyncio.sleep(LIMIT + 1.5)
        assert not blocked.done() and not waiting.done()
        waiting.cancel()
        blocked.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await pool.submit("return 1") == 1
        await at_rest(pool)


@asyncio_only
async def test_values_that_cannot_cross_fail_their_task_alone(lua: str) -> None:
    chunks = [
        "return print",
        "local t = {} t.t = t return t",
        "local t = {} for i = 1, 1000 do t = {t} end return t",
        r"return '\255'",
        "coroutine.yield(print) return print",
        "return ('x'):rep(1e9)",
        "error(print)",
        "error(setmetatable({}, {__tostring = function() while true do end end}))",
    ]
    async with asyncio.timeout(30), limited(lua) as pool:
        for chunk in chunks:
            with pytest.raises((MarshalError, LuaError)):
                await pool.submit(chunk)
            assert await pool.submit("return 1") == 1
        for argument in object(), _nested(1000), 10**30, {"x"}, "\ud800":
            with pytest.raises(MarshalError):
                await pool.submit("return 1", argument)
        await at_rest(pool)


# ------------------------------------------------------------------------- threads stuck in C


@asyncio_only
async def test_a_thread_that_is_stuck_in_c_is_replaced(
    lua: str, gate: Callable[[], Gate], caplog: pytest.LogCaptureFixture
) -> None:
    before = thread_count()
    async with limited(lua, init=NAME) as pool:
        only = gate()
        error = await is_stuck(pool.submit(only.chunk))
        assert type(error) is LuaTimeLimitError
        assert isinstance(error, TimeoutError)
        assert str(error).startswith(f"the time limit of {LIMIT} s was exceeded by ")
        assert str(error).endswith('that has not returned (thread pool "test")')
        assert (error.chunk, error.line, error.traceback) == (None, None, "")
        records = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert len(records) == 1
        assert records[0].name == "threadpool_lua"
        assert "<Chunk 'gate'>" in records[0].getMessage()
        assert records[0].getMessage().endswith("; its thread is replaced")

        await serves_with(pool, 2)
        assert thread_count() == before + 3
        await at_rest(pool)
        assert pool.statistics().states <= 2
        only.open()
        await until(lambda: thread_count() == before + 2)
        await serves_with(pool, 2)
        await at_rest(pool)
    assert thread_count() == before


@asyncio_only
async def test_tasks_that_are_paused_in_its_state_are_told(
    lua: str, gate: Callable[[], Gate]
) -> None:
    go_on = asyncio.Event()
    async with limited(lua, states=1, init=NAME, functions={"wait": go_on.wait}) as pool:
        state = await pool.submit("return name")
        coroutine, stream = pool.create("coroutine.yield(1)"), pool.stream("coroutine.yield(1)")
        assert await coroutine.resume() == 1
        assert await anext(stream) == 1
        paused = [pool.submit("host.wait()") for _ in range(3)]
        paused.append(pool.submit("coroutine.yield()", on_yield=lambda *_: go_on.wait()))
        await until(lambda: pool.statistics().paused == 4)
        only = gate()
        await is_stuck(pool.submit(only.chunk))
        async with asyncio.timeout(20):
            for task in paused:
                with pytest.raises(StateLostError) as caught:
                    await task
                assert (caught.value.name, caught.value.reason) == ("test", IN_C)
            with pytest.raises(StateLostError):
                await coroutine.resume()
            with pytest.raises(StateLostError):
                await anext(stream)
            assert await pool.submit("return name") != state
        await at_rest(pool)
        assert pool.statistics().states == 1
        only.open()


@one_lua
@asyncio_only
async def test_tasks_that_are_to_go_on_in_its_state_are_told(
    lua: str, gate: Callable[[], Gate]
) -> None:
    """While nobody else keeps the pool busy."""
    go_on = asyncio.Event()
    async with limited(lua, states=1, threads=2, functions={"wait": go_on.wait}) as pool:
        paused = [pool.submit("host.wait()") for _ in range(3)]
        await until(lambda: pool.statistics().paused == 3)
        only = gate()
        running = pool.submit(only.chunk)
        await only.entered()
        go_on.set()
        await is_stuck(running)
        async with asyncio.timeout(10):
            for task in paused:
                with pytest.raises(StateLostError):
                    await task
        await at_rest(pool)
        only.open()


@one_lua
@asyncio_only
async def test_tasks_that_are_to_go_on_in_its_state_are_told_by_another_thread(
    lua: str, gate: Callable[[], Gate]
) -> None:
    """Which has set them aside there before, and is idle by the time that the state is lost."""
    go_on, only = asyncio.Event(), gate()
    async with limited(lua, threads=2, states=2, functions={"wait": go_on.wait}) as pool:
        paused = [pool.submit("host.wait() return 1") for _ in range(10)]
        await until(lambda: pool.statistics().paused == 10)
        running = pool.submit(only.chunk)
        try:
            await only.entered()
            go_on.set()
            await is_stuck(running)
            async with asyncio.timeout(5):
                outcomes = await asyncio.gather(*paused, return_exceptions=True)
        finally:
            only.open()
        assert any(isinstance(outcome, StateLostError) for outcome in outcomes)
        for outcome in outcomes:
            assert outcome == 1 or isinstance(outcome, StateLostError)
        await at_rest(pool)


async def mapped(pool: ThreadPool, chunk: str) -> None:
    async for _ in pool.map(chunk, [1]):
        pass


async def streamed(pool: ThreadPool, chunk: str) -> None:
    async for _ in pool.stream("coroutine.yield(1) " + chunk):
        pass


async def streamed_ahead(pool: ThreadPool, chunk: str) -> None:
    async for _ in pool.stream("coroutine.yield(1) " + chunk, prefetch=3):
        pass


async def resumed(pool: ThreadPool, chunk: str) -> None:
    coroutine = pool.create("coroutine.yield(1) " + chunk)
    await coroutine.resume()
    try:
        await coroutine.resume()
    finally:
        assert coroutine.status == "failed"


async def after_a_host_function(pool: ThreadPool, chunk: str) -> None:
    await pool.submit("host.plain() host.wait() " + chunk)


@asyncio_only
@pytest.mark.parametrize(
    "run",
    [mapped, streamed, streamed_ahead, resumed, after_a_host_function],
    ids=lambda run: run.__name__,
)
async def test_it_does_not_matter_what_runs_there(
    gate: Callable[[], Gate], run: Callable[[ThreadPool, str], Awaitable[None]]
) -> None:
    async def wait() -> None:
        await asyncio.sleep(0)

    functions = {"wait": wait, "plain": lambda: None}
    async with limited("luajit21", functions=functions) as pool:
        only = gate()
        await is_stuck(run(pool, blocks_at(only)))
        await serves_with(pool, 2)
        only.open()
        await at_rest(pool)


@asyncio_only
async def test_a_to_be_closed_variable_may_be_stuck(gate: Callable[[], Gate]) -> None:
    only = gate()
    closes = f"""
        local _ <close> = setmetatable({{}}, {{__close = function() {blocks_at(only)} end}})
        coroutine.yield(1)
    """
    async with limited("lua54", threads=1) as pool:
        coroutine = pool.create(closes)
        assert await coroutine.resume() == 1
        async with asyncio.timeout(20):
            await coroutine.close()
            assert await pool.submit("return 1") == 1
        await serves_with(pool, 1)
        only.open()
        await at_rest(pool)


@one_lua
@asyncio_only
async def test_a_task_that_is_cancelled_while_it_is_stuck_gives_its_thread_back_too(
    lua: str, gate: Callable[[], Gate]
) -> None:
    async with limited(lua, threads=1) as pool:
        only = gate()
        running = pool.submit(only.chunk)
        await only.entered()
        running.cancel()
        async with asyncio.timeout(20):
            assert await pool.submit("return 1") == 1
        only.open()
        await at_rest(pool)


@asyncio_only
async def test_what_returns_late_ends_as_any_task_that_has_run_for_too_long(
    lua: str, gate: Callable[[], Gate]
) -> None:
    go_on = asyncio.Event()
    async with limited(lua, threads=1, init=NAME, functions={"wait": go_on.wait}) as pool:
        state = await pool.submit("return name")
        paused = pool.submit("host.wait() return name")
        await until(lambda: pool.statistics().paused == 1)
        only = gate()
        running = pool.submit(blocks_at(only) + " while true do end")
        await only.entered()
        await asyncio.sleep(1.5 * LIMIT)
        only.open()
        async with asyncio.timeout(20):
            with pytest.raises(LuaTimeLimitError) as caught:
                await running
            assert "function of C" not in str(caught.value)
            assert await pool.submit("return name") == state
            go_on.set()
            assert await paused == state


@asyncio_only
async def test_as_many_threads_as_the_pool_has_may_be_stuck_and_a_few_more(
    gate: Callable[[], Gate], caplog: pytest.LogCaptureFixture
) -> None:
    """Then there are no more, until some come back."""
    before = thread_count()
    async with limited("luajit21", threads=2) as pool:
        gates = [gate() for _ in range(8)]
        stuck = [pool.submit(each.chunk) for each in gates[:6]]
        for task in stuck:
            await is_stuck(task)
        assert caplog.messages[-1].endswith("; its thread cannot be replaced")
        assert thread_count() <= before + 6
        waiting = [pool.submit("return ...", number) for number in range(5)]
        await asyncio.sleep(0.6)
        assert not any(task.done() for task in waiting)
        gates[0].open()
        async with asyncio.timeout(20):
            assert await asyncio.gather(*waiting) == [0, 1, 2, 3, 4]
        for each in gates[1:6]:
            each.open()
        await until(lambda: thread_count() == before + 2)
        await serves_with(pool, 2)
        # And all over again.
        for task in [pool.submit(each.chunk) for each in gates[6:]]:
            await is_stuck(task)
        await serves_with(pool, 2)
        for each in gates[6:]:
            each.open()
        await at_rest(pool)
        await until(lambda: thread_count() == before + 2)
    assert thread_count() == before


@asyncio_only
async def test_a_thread_that_comes_back_may_be_stuck_once_more(gate: Callable[[], Gate]) -> None:
    """If not, as it leaves the queue to others, these are."""
    before = thread_count()
    first, second, third = gate(), gate(), gate()
    async with limited("luajit21", threads=1, time_limit=0.5) as pool:
        await is_stuck(pool.submit(first.chunk))
        again = [pool.submit(second.chunk), pool.submit(third.chunk)]
        try:
            await second.entered()
            first.open()
            await third.entered()
            for task in again:
                await is_stuck(task)
            await serves_with(pool, 1)
        finally:
            second.open()
            third.open()
        await at_rest(pool)
        await until(lambda: thread_count() == before + 1)
        await serves_with(pool, 1)


@one_lua
@asyncio_only
async def test_a_pool_that_closes_does_not_wait_for_stuck_threads(
    lua: str, gate: Callable[[], Gate]
) -> None:
    before = thread_count()
    gates = [gate(), gate(), gate()]
    async with asyncio.timeout(20):
        async with limited(lua) as pool:
            await is_stuck(pool.submit(gates[0].chunk))
            running = pool.submit(gates[1].chunk)
            await gates[1].entered()
            queued = [pool.submit("return ...", number) for number in range(5)]
        assert [task.result() for task in queued] == [0, 1, 2, 3, 4]
        assert isinstance(running.exception(), LuaTimeLimitError)
        assert repr(pool).endswith("closed>")
    assert thread_count() == before + 2
    gates[0].open()
    gates[1].open()
    await until(lambda: thread_count() == before)


@one_lua
@asyncio_only
async def test_a_pool_that_closes_with_a_time_limit_does_not_wait_for_them_either(
    lua: str, gate: Callable[[], Gate], caplog: pytest.LogCaptureFixture
) -> None:
    before = thread_count()
    go_on = asyncio.Event()
    pool = limited(lua, states=1, functions={"wait": go_on.wait})
    await pool.open()
    paused = pool.submit("host.wait()")
    await until(lambda: pool.statistics().paused == 1)
    only = gate()
    running = pool.submit(only.chunk)
    await only.entered()
    async with asyncio.timeout(10):
        await pool.aclose(timeout=0.05)
        for task in paused, running:
            with pytest.raises(PoolClosedError):
                await task
    # Nobody looks after its threads any more.
    await asyncio.sleep(LIMIT + 1.5)
    assert caplog.messages == []
    only.open()
    await until(lambda: thread_count() == before)


@asyncio_only
async def test_a_thread_that_cannot_be_started_is_started_later(
    gate: Callable[[], Gate], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with limited("luajit21", threads=1) as pool:
        only = gate()
        running = pool.submit(only.chunk)
        await only.entered()
        tries = []

        def start(thread: threading.Thread) -> None:
            tries.append(thread.name)
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            await is_stuck(running)
            assert caplog.messages[-1].endswith("; its thread cannot be replaced")
            waiting = pool.submit("return 1")
            await until(lambda: len(tries) >= 2)
            assert not waiting.done()
        async with asyncio.timeout(20):
            assert await waiting == 1
        await serves_with(pool, 1)
        only.open()
        await at_rest(pool)


@asyncio_only
async def test_a_thread_that_comes_back_takes_the_place_that_nobody_could(
    gate: Callable[[], Gate], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = thread_count()

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async with limited("luajit21", threads=1) as pool:
        only = gate()
        running = pool.submit(only.chunk)
        await only.entered()
        monkeypatch.setattr(threading.Thread, "start", start)
        await is_stuck(running)
        waiting = pool.submit("return 1")
        only.open()
        async with asyncio.timeout(20):
            assert await waiting == 1
            assert await pool.submit("return 2") == 2
        await at_rest(pool)
        assert thread_count() == before + 1


# ------------------------------------------------------------------------- a loop that stalls


@one_lua
@asyncio_only
async def test_a_loop_that_stalls_loses_nothing(lua: str) -> None:
    """Nor is a thread taken for stuck that is not."""

    async def wait(value: int) -> int:
        await asyncio.sleep(0.01)
        return value

    async with asyncio.timeout(30), limited(lua, functions={"wait": wait}) as pool:
        before = thread_count()
        quick = [pool.submit("return ...", number) for number in range(200)]
        waiting = [pool.submit("return host.wait(...)", number) for number in range(200)]
        ending = [pool.submit(ENDLESS) for _ in range(3)]
        await until(lambda: pool.statistics().paused > 0)
        for _ in range(2):
            time.sleep(LIMIT + 1.2)
            await asyncio.sleep(0.01)
        assert await asyncio.gather(*quick, *waiting) == [*range(200), *range(200)]
        for task in ending:
            with pytest.raises(LuaTimeLimitError) as caught:
                await task
            assert "function of C" not in str(caught.value)
        await at_rest(pool)
        assert thread_count() == before


@one_lua
@asyncio_only
async def test_a_thread_that_was_stuck_while_the_loop_stalled_goes_on(
    lua: str, gate: Callable[[], Gate]
) -> None:
    """Nobody looked, and it has come back by itself."""
    async with asyncio.timeout(30), limited(lua, threads=1) as pool:
        only = gate()
        running = pool.submit(only.chunk)
        await only.entered()
        opener = threading.Timer(LIMIT + 1.2, only.open)
        opener.start()
        time.sleep(LIMIT + 1.5)
        opener.join()
        await asyncio.wait([running])
        if running.exception() is None:
            assert running.result() == "through"
        else:
            assert isinstance(running.exception(), LuaTimeLimitError)
        assert await pool.submit("return 1") == 1
        await at_rest(pool)


def test_a_pool_with_limits_that_is_dropped_goes() -> None:
    """It warns, and what looks after its threads does not keep it."""
    done = run_python(
        """
        import asyncio, gc, threading, time, warnings
        from threadpool_lua import ThreadPool

        async def main():
            pool = ThreadPool("dropped", threads=2, time_limit=1, memory_limit=2**24)
            await pool.open()
            assert await pool.submit("return 1") == 1
            await asyncio.sleep(0.3)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                del pool
                end = time.monotonic() + 20
                while not caught and time.monotonic() < end:
                    gc.collect()
            print([str(warning.message) for warning in caught])
            await asyncio.sleep(0.5)
            print(sum(t.name.startswith("threadpool_lua") for t in threading.enumerate()))

        asyncio.run(main())
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    warned, threads = done.stdout.splitlines()
    assert warned.startswith("[\"unclosed <ThreadPool 'dropped' threads=2 ")
    assert threads == "0"
