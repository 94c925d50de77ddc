"""Opening and closing a pool."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from threadpool_lua import PoolClosedError, ThreadPool, ThreadPoolError

from .helpers import Gate, run_python


async def test_aclose_lets_queued_and_running_tasks_finish(
    lua: str, gate: Callable[[], Gate]
) -> None:
    pool = ThreadPool("closing", threads=1, lua=lua)
    await pool.open()
    only = gate()
    running = pool.submit(only.chunk)
    queued = [pool.submit("return ...", i) for i in range(100)]
    await only.entered()
    closing = asyncio.ensure_future(pool.aclose())
    await asyncio.sleep(0)
    with pytest.raises(PoolClosedError, match='thread pool "closing" is closed'):
        pool.submit("return 1")
    with pytest.raises(PoolClosedError, match='thread pool "closing" is closed'):
        pool.call("string", "rep", "x", 1)
    only.open()
    await closing
    assert running.result() == "through"
    assert [future.result() for future in queued] == list(range(100))


async def test_no_thread_is_left_after_closing(lua: str) -> None:
    before = threading.active_count()
    async with ThreadPool("many", threads=16, lua=lua) as pool:
        assert threading.active_count() == before + 16
        await asyncio.gather(*(pool.submit("return 1") for _ in range(64)))
    assert threading.active_count() == before


async def test_an_exception_in_the_block_cancels_what_is_queued_and_awaits_what_runs(
    lua: str, gate: Callable[[], Gate]
) -> None:
    only = gate()
    with pytest.raises(RuntimeError, match="the block failed"):
        async with ThreadPool("failing", threads=1, lua=lua) as pool:
            running = pool.submit(only.chunk)
            queued = [pool.submit("return 1") for _ in range(3)]
            await only.entered()
            asyncio.get_running_loop().call_later(0.01, only.open)
            raise RuntimeError("the block failed")
    assert running.result() == "through"
    assert all(future.cancelled() for future in queued)


async def test_cancelling_the_block_waits_for_nothing_that_cannot_be_stopped(
    lua: str, gate: Callable[[], Gate]
) -> None:
    only = gate()
    futures: list[asyncio.Future[object]] = []

    async def block() -> None:
        async with ThreadPool("stuck", threads=1, lua=lua) as pool:
            futures.extend((pool.submit(only.chunk), pool.submit("return 1")))
            await futures[0]

    task = asyncio.ensure_future(block())
    await only.entered()
    task.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert all(future.cancelled() for future in futures)
    only.open()


async def test_closing_twice_or_at_the_same_time_is_fine(lua: str) -> None:
    pool = ThreadPool("twice", threads=2, lua=lua)
    await pool.open()
    future = pool.submit("return 1")
    await asyncio.gather(pool.aclose(), pool.aclose())
    await pool.aclose()
    assert future.result() == 1
    assert repr(pool) == "<ThreadPool 'twice' threads=2 closed>"


async def test_an_aclose_that_is_cancelled_can_be_repeated(
    lua: str, gate: Callable[[], Gate]
) -> None:
    pool = ThreadPool("again", threads=1, lua=lua)
    await pool.open()
    only = gate()
    running = pool.submit(only.chunk)
    await only.entered()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await pool.aclose()
    assert not running.done()
    only.open()
    await pool.aclose()
    assert running.result() == "through"


async def test_a_pool_that_is_closed_while_it_opens_does_not_open(lua: str) -> None:
    pool = ThreadPool("early", threads=4, lua=lua)
    opening = asyncio.ensure_future(pool.open())
    await asyncio.sleep(0)
    await pool.aclose()
    with pytest.raises(PoolClosedError, match='thread pool "early" is closed'):
        await opening
    with pytest.raises(PoolClosedError):
        pool.submit("return 1")


@pytest.mark.parametrize(
    "damage",
    [
        "package = nil",
        "package.loaded = nil",
        "setmetatable(_G, {__pairs = function() error('no') end, __index = error})",
        "finalized = setmetatable({}, {__gc = function() error('no') end})",
    ],
)
async def test_a_state_that_resists_is_closed_all_the_same(lua: str, damage: str) -> None:
    async with asyncio.timeout(10):
        async with ThreadPool("damaged", threads=1, lua=lua, init=damage) as pool:
            assert await pool.submit("return 1") == 1


async def test_a_pool_is_opened_once(pool: ThreadPool) -> None:
    with pytest.raises(ThreadPoolError, match='thread pool "test" cannot be opened twice'):
        await pool.open()
    assert await pool.submit("return 1") == 1


async def test_a_pool_that_was_never_opened_closes(lua: str) -> None:
    await ThreadPool("never", lua=lua).aclose()


async def test_threads_that_cannot_be_started_fail_the_opening(
    lua: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def start_three(thread: threading.Thread) -> None:
        if thread.name.endswith("-3"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_three)
    pool = ThreadPool("large", threads=8, lua=lua)
    with pytest.raises(ThreadPoolError, match='thread pool "large": only 3 of 8 threads could be'):
        await pool.open()
    with pytest.raises(PoolClosedError):
        pool.submit("return 1")
    await pool.aclose()


async def test_states_bound_the_threads(lua: str, gate: Callable[[], Gate]) -> None:
    async with ThreadPool("few", threads=8, states=2, max_queue=100, lua=lua) as pool:
        gates = [gate(), gate()]
        blocked = [pool.submit(each.chunk) for each in gates]
        for each in gates:
            await each.entered()
        waiting = pool.submit("return 'waited for a state'")
        gates[0].open()
        assert await waiting == "waited for a state"
        gates[1].open()
        assert await asyncio.gather(*blocked) == ["through", "through"]


async def test_a_pool_with_paused_tasks_is_closing_until_they_have_ended(lua: str) -> None:
    go_on = asyncio.Event()
    pool = ThreadPool("patient", threads=1, lua=lua, functions={"wait": go_on.wait})
    await pool.open()
    paused = pool.submit("host.wait() return 'done'")
    closing = asyncio.ensure_future(pool.aclose())
    async with asyncio.timeout(10):
        while not pool.statistics().paused:
            await asyncio.sleep(0)
        assert repr(pool) == "<ThreadPool 'patient' threads=1 closing>"
        go_on.set()
        await closing
    assert paused.result() == "done"
    assert repr(pool) == "<ThreadPool 'patient' threads=1 closed>"


async def test_with_a_time_limit_all_that_has_not_ended_ends_by_a_named_error(
    lua: str, gate: Callable[[], Gate]
) -> None:
    only = gate()
    never = asyncio.Event()
    pool = ThreadPool("hasty", threads=1, states=1, lua=lua, functions={"wait": never.wait})
    await pool.open()
    paused = [pool.submit("host.wait()") for _ in range(3)]
    while pool.statistics().paused < 3:
        await asyncio.sleep(0)
    running = pool.submit(only.chunk)
    await only.entered()
    queued = [pool.submit("return 1") for _ in range(3)]
    async with asyncio.timeout(10):
        await pool.aclose(timeout=0.01)
        for future in (*paused, running, *queued):
            with pytest.raises(PoolClosedError, match='"hasty" was closed before the task had'):
                await future
        await pool.aclose()  # Does not wait for what it has given up.
    only.open()


@pytest.mark.parametrize("timeout", [-1, float("nan")])
async def test_a_time_limit_is_not_negative(pool: ThreadPool, timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout must not be negative"):
        await pool.aclose(timeout=timeout)
    with pytest.raises(TypeError, match="timeout must be a number, not str"):
        await pool.aclose(timeout="1")  # type: ignore[arg-type]
    assert await pool.submit("return 1") == 1


async def test_what_a_task_waits_for_cannot_close_its_pool(lua: str) -> None:
    """It would wait for itself."""
    async with ThreadPool("own", threads=1, lua=lua) as pool:

        @pool.function
        async def stop() -> None:
            await pool.aclose()

        with pytest.raises(RuntimeError, match='"own" cannot be closed by what one of its tasks'):
            await pool.submit("host.stop()")
        with pytest.raises(RuntimeError, match='"own" cannot be closed by what one of its tasks'):
            await pool.submit("coroutine.yield()", on_yield=pool.aclose)
        assert await pool.submit("return 1") == 1


CLOSES_FOR_EVER = """
    local _ <close> = setmetatable({}, {__close = function() while true do end end})
    while true do host.wait() end
"""


def test_a_coroutine_that_closes_for_ever_holds_no_closing_up() -> None:
    """In a process of its own: the thread that closes it never comes back."""
    done = run_python(
        f"""
        import asyncio
        from threadpool_lua import PoolClosedError, ThreadPool

        async def main():
            never = asyncio.Event()
            functions = {{"wait": never.wait}}
            pool = ThreadPool("stuck", threads=1, lua="lua54", functions=functions)
            await pool.open()
            paused = pool.submit({CLOSES_FOR_EVER!r})
            while not pool.statistics().paused:
                await asyncio.sleep(0)
            await pool.aclose(timeout=0)
            try:
                await paused
            except PoolClosedError as error:
                print(error)

        asyncio.run(main())
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == 'thread pool "stuck" was closed before the task had ended\n'


async def test_closing_a_coroutine_ends_however_the_pool_closes(
    lua: str, gate: Callable[[], Gate]
) -> None:
    """Even where the only thread is stuck, and nobody will come to it."""
    only = gate()
    pool = ThreadPool("given up", threads=1, lua=lua)
    await pool.open()
    coroutine = pool.create("coroutine.yield(1)")
    assert await coroutine.resume() == 1
    stream = pool.stream("coroutine.yield(2)")
    assert await anext(stream) == 2
    running = pool.submit(only.chunk)
    await only.entered()
    closed = coroutine.close()
    async with asyncio.timeout(10):
        await pool.aclose(timeout=0)
        await closed
        await stream.aclose()
    with pytest.raises(PoolClosedError):
        await running
    only.open()
