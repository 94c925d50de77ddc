"""Several pools by name: ThreadPools."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable

import pytest

from threadpool_lua import (
    PoolClosedError,
    PoolNotFoundError,
    SharedDict,
    ThreadPool,
    ThreadPoolError,
    ThreadPools,
)

from .helpers import Gate, at_rest, until


def threads_of(name: str) -> int:
    """Return how many threads of a pool there are."""
    return sum(t.name.startswith(f"threadpool_lua {name}-") for t in threading.enumerate())


@pytest.fixture
async def pools(lua: str) -> AsyncIterator[ThreadPools]:
    """Open pools "disk" and "cpu", of one thread each."""
    disk, cpu = (ThreadPool(name, threads=1, lua=lua) for name in ("disk", "cpu"))
    async with asyncio.timeout(30), ThreadPools(disk, cpu, shared={"dogs": "1m"}) as pools:
        yield pools


CALL = "return ngx.run_worker_thread(..., 'string', 'rep', 'x', 3)"


class TestMapping:
    def test_pools_are_found_by_name(self) -> None:
        disk, cpu = ThreadPool("disk"), ThreadPool("cpu")
        pools = ThreadPools(disk, cpu)
        assert pools["disk"] is disk
        assert list(pools) == ["disk", "cpu", "default"]
        assert len(pools) == 3
        assert "cpu" in pools
        assert "gpu" not in pools
        assert list(pools.values())[:2] == [disk, cpu]
        assert repr(pools) == "<ThreadPools 'disk', 'cpu', 'default'>"

    def test_a_name_that_is_not_there(self) -> None:
        pools = ThreadPools()
        with pytest.raises(PoolNotFoundError) as caught:
            pools["disk"]
        assert str(caught.value) == 'thread pool "disk" not found'
        assert caught.value.name == "disk"
        assert isinstance(caught.value, KeyError)
        assert isinstance(caught.value, ThreadPoolError)
        assert pools.get("disk") is None

    def test_the_same_name_twice(self) -> None:
        with pytest.raises(ValueError, match='^duplicate thread pool "disk"$'):
            ThreadPools(ThreadPool("disk"), ThreadPool("disk"))
        disk = ThreadPool("disk")
        with pytest.raises(ValueError, match='^duplicate thread pool "disk"$'):
            ThreadPools(disk, disk)
        assert ThreadPools(disk)["disk"] is disk  # It belongs to nobody after a failure.

    def test_a_pool_belongs_to_one(self) -> None:
        disk = ThreadPool("disk")
        pools = ThreadPools(disk)
        for pool in pools.values():
            with pytest.raises(ValueError, match=f'"{pool.name}" belongs to other ThreadPools'):
                ThreadPools(pool)

    async def test_a_pool_that_has_been_opened_is_refused(self) -> None:
        async with ThreadPool("disk", threads=1) as disk:
            with pytest.raises(ThreadPoolError, match='"disk" has been opened already'):
                ThreadPools(disk)
        with pytest.raises(ThreadPoolError, match='"disk" has been opened already'):
            ThreadPools(disk)

    def test_other_types_are_refused(self) -> None:
        with pytest.raises(TypeError, match="a pool must be ThreadPool, not str"):
            ThreadPools("disk")  # type: ignore[arg-type]
        for size in 1.5, None, True:
            with pytest.raises(TypeError, match="a size must be int, str or SharedDict, not"):
                ThreadPools(shared={"dogs": size})  # type: ignore[dict-item]


class TestDefault:
    def test_it_is_what_nginx_has(self) -> None:
        assert ThreadPools()["default"].statistics().threads == 32
        own = ThreadPool("default", threads=2)
        assert list(ThreadPools(own)) == ["default"]
        assert ThreadPools(ThreadPool("default", threads=2))["default"] is not own

    async def test_its_threads_start_when_it_is_used(self) -> None:
        async with ThreadPools() as pools:
            default = pools["default"]
            assert default.statistics().idle == 32
            assert threads_of("default") == 0
            assert await default.submit("return ...", 1) == 1
            await until(lambda: threads_of("default") == 32)
        assert threads_of("default") == 0
        with pytest.raises(PoolClosedError, match='"default" is closed'):
            default.submit("return 1")

    @pytest.mark.parametrize(
        "use",
        [
            lambda pool: pool.call("math", "abs", -1),
            lambda pool: pool.create("return 1").resume(),
            lambda pool: anext(pool.stream("coroutine.yield(1)")),
            lambda pool: anext(pool.map("return ...", [1])),
            lambda pool: after_room(pool),
        ],
        ids=["call", "create", "stream", "map", "room"],
    )
    async def test_any_use_starts_them(self, use: Callable[[ThreadPool], object]) -> None:
        async with ThreadPools() as pools:
            assert await use(pools["default"]) == 1  # type: ignore[misc]

    async def test_one_that_is_declared_is_opened_with_the_others(self) -> None:
        async with ThreadPools(ThreadPool("default", threads=2)):
            assert threads_of("default") == 2

    async def test_it_is_closed_if_it_was_not_used(self) -> None:
        async with ThreadPools() as pools:
            pass
        with pytest.raises(PoolClosedError, match='"default" is closed'):
            pools["default"].submit("return 1")

    async def test_it_is_not_open_before_the_others_are(self) -> None:
        with pytest.raises(PoolClosedError, match='"default" is not open'):
            ThreadPools()["default"].submit("return 1")

    async def test_its_tasks_are_told_if_no_thread_can_be_started(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def start(self: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        async with ThreadPools() as pools:
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", start)
                future = pools["default"].submit("return 1")
                with pytest.raises(ThreadPoolError, match="only 0 of 32 threads could be started"):
                    await future
            with pytest.raises(PoolClosedError):
                pools["default"].submit("return 1")

    async def test_tasks_of_other_pools_can_be_the_first_to_use_it(
        self, pools: ThreadPools
    ) -> None:
        assert await pools["disk"].submit(CALL, "default") == (True, "xxx")


async def after_room(pool: ThreadPool) -> object:
    await pool.room()
    return await pool.submit("return 1")


class TestTogether:
    async def test_tasks_use_each_others_pools(self, pools: ThreadPools) -> None:
        assert await pools["disk"].submit(CALL, "cpu") == (True, "xxx")
        assert await pools["cpu"].submit(CALL, "disk") == (True, "xxx")
        assert await pools["cpu"].submit(CALL, "gpu") == (False, "thread_pool not found")

    async def test_they_share_dictionaries_with_each_other_and_with_python(
        self, pools: ThreadPools
    ) -> None:
        await pools["disk"].submit("ngx.shared.dogs:set('Tom', 56)")
        assert await pools["cpu"].submit("return ngx.shared.dogs:incr('Tom', 1)") == 57
        assert pools.shared["dogs"].get("Tom") == 57
        assert list(pools.shared) == ["dogs"]
        with pytest.raises(TypeError):
            pools.shared["cats"] = pools.shared["dogs"]  # type: ignore[index]

    async def test_a_dictionary_of_two_loops(self, lua: str) -> None:
        dogs = SharedDict("dogs", 2**20)

        async def count() -> None:
            pool = ThreadPool("counting", threads=2, lua=lua)
            async with asyncio.timeout(30), ThreadPools(pool, shared={"dogs": dogs}):
                source = "for i = 1, 100 do ngx.shared.dogs:incr('Tom', 1, 0) end"
                await asyncio.gather(*(pool.submit(source) for _ in range(10)))

        await asyncio.gather(count(), asyncio.to_thread(asyncio.run, count()))
        assert dogs["Tom"] == 2000

    def test_sizes_are_bytes_or_as_nginx_writes_them(self) -> None:
        pools = ThreadPools(shared={"dogs": "16k", "cats": 16384})
        assert pools.shared["dogs"].capacity() == pools.shared["cats"].capacity() == 16384
        for size in "big", "1", 1, "":
            with pytest.raises(ValueError, match="size"):
                ThreadPools(shared={"dogs": size})

    async def test_a_pool_of_its_own_shares_nothing(self, pools: ThreadPools, lua: str) -> None:
        async with ThreadPool("own", threads=1, lua=lua) as own:
            assert await own.submit("return ngx.shared.dogs == nil") is True
            assert await own.submit(CALL, "disk") == (False, "thread_pool not found")


class TestOpening:
    async def test_once(self, pools: ThreadPools) -> None:
        with pytest.raises(ThreadPoolError, match="cannot be opened twice"):
            await pools.open()
        assert await pools["disk"].submit("return 1") == 1

    async def test_all_or_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        actual = threading.Thread.start

        def start(thread: threading.Thread) -> None:
            if thread.name == "threadpool_lua cpu-1":
                raise RuntimeError("can't start new thread")
            actual(thread)

        monkeypatch.setattr(threading.Thread, "start", start)
        pools = ThreadPools(*(ThreadPool(name, threads=2) for name in ("disk", "cpu", "last")))
        with pytest.raises(ThreadPoolError, match='"cpu": only 1 of 2 threads could be started'):
            await pools.open()
        assert threads_of("disk") == threads_of("cpu") == threads_of("last") == 0
        with pytest.raises(PoolClosedError, match='"disk" is closed'):
            pools["disk"].submit("return 1")
        for name in "last", "default":
            with pytest.raises(PoolClosedError, match=f'"{name}" is not open'):
                pools[name].submit("return 1")

    async def test_closing_meanwhile(self) -> None:
        pools = ThreadPools(ThreadPool("disk", threads=4), ThreadPool("cpu", threads=4))
        opening = asyncio.ensure_future(pools.open())
        await asyncio.sleep(0)
        await pools.aclose()
        with pytest.raises(PoolClosedError, match='"disk" is closed'):
            await opening
        assert threads_of("disk") == threads_of("cpu") == 0

    async def test_closing_before(self) -> None:
        pools = ThreadPools(ThreadPool("disk", threads=1))
        await pools.aclose()
        async with pools:
            assert await pools["disk"].submit("return 1") == 1
            assert await pools["default"].submit("return 1") == 1


class TestClosing:
    async def test_what_runs_and_what_is_queued_finishes(
        self, pools: ThreadPools, gate: Callable[[], Gate]
    ) -> None:
        gates = [gate(), gate()]
        futures = []
        for pool, only in zip((pools["disk"], pools["cpu"]), gates, strict=True):
            futures += [pool.submit(only.chunk), pool.submit("return 'queued'")]
            await only.entered()
        closing = asyncio.ensure_future(pools.aclose())
        await asyncio.sleep(0)
        for name in pools:
            with pytest.raises(PoolClosedError, match=f'"{name}" is closed'):
                pools[name].submit("return 1")
        for only in gates:
            only.open()
        await closing
        assert [future.result() for future in futures] == ["through", "queued"] * 2
        assert threads_of("disk") == threads_of("cpu") == 0
        await pools.aclose()

    @pytest.mark.parametrize("order", [("disk", "cpu"), ("cpu", "disk")])
    async def test_what_has_to_finish_can_use_all_pools(self, lua: str, order: list[str]) -> None:
        """The pool that it uses has nothing to do itself, and waits for it."""
        go_on = asyncio.Event()
        disk = ThreadPool("disk", threads=1, lua=lua, functions={"wait": go_on.wait})
        cpu = ThreadPool("cpu", threads=1, lua=lua)
        by_name = {"disk": disk, "cpu": cpu}
        pools = ThreadPools(*(by_name[name] for name in order))
        async with asyncio.timeout(30):
            await pools.open()
            future = disk.submit(
                "host.wait() assert(ngx.worker.exiting()) "
                "local results = {} "
                "for i, pool in ipairs {'cpu', 'disk', 'cpu'} do "
                "  local _, s = ngx.run_worker_thread(pool, 'string', 'rep', 'x', i) "
                "  results[i] = s "
                "end return results"
            )
            await until(lambda: disk.statistics().paused == 1)
            closing = asyncio.ensure_future(pools.aclose())
            await asyncio.sleep(0)
            go_on.set()
            await closing
        assert future.result() == ["x", "xx", "xxx"]

    async def test_a_pool_that_was_never_used_is_not_begun_with(self, lua: str) -> None:
        go_on = asyncio.Event()
        disk = ThreadPool("disk", threads=1, lua=lua, functions={"wait": go_on.wait})
        async with ThreadPools(disk):
            future = disk.submit("host.wait() " + CALL, "default")
            await until(lambda: disk.statistics().paused == 1)
            asyncio.get_running_loop().call_soon(go_on.set)
        assert future.result() == (False, "ngx_thread_task_post failed")

    async def test_one_pool_can_be_closed_before_the_others(self, pools: ThreadPools) -> None:
        await pools["cpu"].aclose()
        assert threads_of("cpu") == 0
        assert await pools["disk"].submit("return ngx.worker.exiting()") is False
        assert await pools["disk"].submit(CALL, "cpu") == (False, "thread_pool not found")

    async def test_a_time_limit_is_for_all(
        self, pools: ThreadPools, gate: Callable[[], Gate]
    ) -> None:
        only = gate()
        stuck = pools["disk"].submit(only.chunk)
        await only.entered()
        paused = pools["cpu"].submit(CALL, "disk")
        await pools.aclose(timeout=0.01)
        for future in stuck, paused:
            with pytest.raises(PoolClosedError, match="was closed before the task had ended"):
                await future
        only.open()

    @pytest.mark.parametrize("timeout", [-1, float("nan"), "1"])
    async def test_a_bad_time_limit_closes_nothing(
        self, pools: ThreadPools, timeout: object
    ) -> None:
        with pytest.raises((TypeError, ValueError), match="timeout must "):
            await pools.aclose(timeout)  # type: ignore[arg-type]
        assert await pools["disk"].submit("return 1") == 1

    async def test_an_exception_in_the_block_cancels_what_is_queued_or_paused(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        only = gate()
        pools = ThreadPools(*(ThreadPool(name, threads=1, lua=lua) for name in ("disk", "cpu")))
        with pytest.raises(RuntimeError, match="the block failed"):
            async with pools:
                running = pools["disk"].submit(only.chunk)
                queued = pools["disk"].submit("return 1")
                await only.entered()
                paused = pools["cpu"].submit(CALL, "disk")
                await until(lambda: pools["cpu"].statistics().paused == 1)
                asyncio.get_running_loop().call_later(0.01, only.open)
                raise RuntimeError("the block failed")
        assert running.result() == "through"
        assert queued.cancelled()
        assert paused.cancelled()

    async def test_cancelling_the_block_waits_for_nothing_that_cannot_be_stopped(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        gates = [gate(), gate()]
        futures: list[asyncio.Future[object]] = []

        async def block() -> None:
            pools = ThreadPools(*(ThreadPool(name, threads=1, lua=lua) for name in ("a", "b")))
            async with pools:
                for name, only in zip("ab", gates, strict=True):
                    futures.append(pools[name].submit(only.chunk))
                    await only.entered()
                await futures[0]

        task = asyncio.ensure_future(block())
        await until(lambda: len(futures) == 2)
        await gates[1].entered()
        task.cancel()
        async with asyncio.timeout(10):
            with pytest.raises(asyncio.CancelledError):
                await task
        assert all(future.cancelled() for future in futures)
        for only in gates:
            only.open()

    async def test_it_can_be_cancelled_and_repeated(
        self, pools: ThreadPools, gate: Callable[[], Gate]
    ) -> None:
        only = gate()
        running = pools["disk"].submit(only.chunk)
        await only.entered()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await pools.aclose()
        assert not running.done()
        only.open()
        await pools.aclose()
        assert running.result() == "through"

    async def test_what_a_task_waits_for_cannot_close_them(self, pools: ThreadPools) -> None:
        @pools["cpu"].function
        async def stop() -> None:
            await pools.aclose()

        with pytest.raises(RuntimeError, match='"cpu" cannot be closed by what one of its tasks'):
            await pools["cpu"].submit("host.stop()")
        assert await pools["disk"].submit("return 1") == 1

    async def test_a_pool_that_is_given_up_does_not_keep_the_others(
        self, pools: ThreadPools, gate: Callable[[], Gate]
    ) -> None:
        only = gate()
        stuck = pools["disk"].submit(only.chunk)
        await only.entered()
        closing = asyncio.ensure_future(pools.aclose())
        await asyncio.sleep(0)
        await pools["disk"].aclose(timeout=0)
        assert isinstance(stuck.exception(), PoolClosedError)
        await until(lambda: threads_of("cpu") == 0)
        only.open()
        await closing

    async def test_nothing_is_left_of_them(self, lua: str) -> None:
        async with ThreadPools(ThreadPool("disk", threads=1, lua=lua)) as pools:
            for pool in pools.values():
                await pool.submit("return 1")
                await at_rest(pool)
        left = [weakref.ref(pool) for pool in pools.values()]
        del pool, pools
        gc.collect()
        assert [reference() for reference in left] == [None, None]
