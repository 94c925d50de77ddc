"""`max_queue`, counted as nginx counts it, and waiting for room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from threadpool_lua import PoolClosedError, QueueFullError, ThreadPool

from .helpers import Gate


class TestMaxQueue:
    async def test_it_bounds_the_tasks_beyond_those_that_idle_threads_take(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        async with ThreadPool("disk", threads=2, max_queue=3, lua=lua) as pool:
            gates = [gate(), gate()]
            blocked = [pool.submit(gate.chunk) for gate in gates]
            queued = [pool.submit("return ...", i) for i in range(3)]
            with pytest.raises(QueueFullError) as caught:
                pool.submit("return 3")
            error = caught.value
            assert str(error) == 'thread pool "disk" queue overflow: 3 tasks waiting'
            assert (error.name, error.max_queue, error.waiting) == ("disk", 3, 3)
            for each in gates:
                await each.entered()
                each.open()
            assert await asyncio.gather(*blocked, *queued) == ["through", "through", 0, 1, 2]

    async def test_the_refusal_is_immediate_even_before_a_thread_has_taken_anything(
        self, lua: str
    ) -> None:
        async with ThreadPool("burst", threads=1, max_queue=10, lua=lua) as pool:
            accepted = []
            with pytest.raises(QueueFullError, match="10 tasks waiting"):
                while True:
                    accepted.append(pool.submit("return ...", len(accepted)))
            assert len(accepted) == 11
            assert await asyncio.gather(*accepted) == list(range(11))

    async def test_with_zero_a_task_is_accepted_only_while_a_thread_is_idle(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        async with ThreadPool("strict", threads=1, max_queue=0, lua=lua) as pool:
            for i in range(100):
                assert await pool.submit("return ...", i) == i
            only = gate()
            blocked = pool.submit(only.chunk)
            with pytest.raises(QueueFullError, match='"strict" queue overflow: 0 tasks waiting'):
                pool.submit("return 1")
            await only.entered()
            only.open()
            assert await blocked == "through"
            assert await pool.submit("return 1") == 1

    async def test_a_queued_task_that_is_cancelled_gives_its_place_away(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        async with ThreadPool("places", threads=1, max_queue=4, lua=lua) as pool:
            only = gate()
            blocked = pool.submit(only.chunk)
            await only.entered()
            queued = [pool.submit("return ...", i) for i in range(4)]
            queued[0].cancel()
            queued[2].cancel()
            late = [pool.submit("return ...", i) for i in (10, 11)]
            with pytest.raises(QueueFullError, match="4 tasks waiting"):
                pool.submit("return 1")
            only.open()
            assert await asyncio.gather(blocked, queued[1], queued[3], *late) == [
                "through",
                1,
                3,
                10,
                11,
            ]

    async def test_tasks_are_taken_first_come_first_served(self, lua: str) -> None:
        async with ThreadPool("fifo", threads=1, lua=lua, init="order = {}") as pool:
            for i in range(500):
                pool.submit("order[#order + 1] = ...", i)
            assert await pool.submit("return order") == list(range(500))


class TestRoom:
    async def test_there_is_room_at_once_while_the_queue_is_not_full(
        self, pool: ThreadPool
    ) -> None:
        await pool.room()
        assert await pool.submit("return 1") == 1

    async def test_who_waits_for_room_never_meets_a_full_queue(self, lua: str) -> None:
        async with ThreadPool("producer", threads=2, max_queue=2, lua=lua) as pool:

            async def produce(i: int) -> object:
                await pool.room()
                return await pool.submit("return ...", i)

            assert await asyncio.gather(*(produce(i) for i in range(300))) == list(range(300))

    async def test_room_is_given_first_come_first_served_and_nobody_steps_in(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        async with ThreadPool("line", threads=1, max_queue=0, lua=lua) as pool:
            order: list[int] = []
            gates = [gate() for _ in range(5)]

            async def wait_in_line(i: int) -> None:
                await pool.room()
                order.append(i)
                await pool.submit(gates[i].chunk)

            async with asyncio.TaskGroup() as group:
                for i in range(5):
                    group.create_task(wait_in_line(i))
                for each in gates:
                    await each.entered()
                    with pytest.raises(QueueFullError):
                        pool.submit("return 'stepping in'")
                    each.open()
            assert order == [0, 1, 2, 3, 4]

    async def test_a_place_that_is_not_used_goes_to_the_next_in_line(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        async with ThreadPool("unused", threads=1, max_queue=0, lua=lua) as pool:
            only = gate()
            blocked = pool.submit(only.chunk)
            waiting = [asyncio.ensure_future(pool.room()) for _ in range(3)]
            await only.entered()
            only.open()
            async with asyncio.timeout(10):
                await asyncio.gather(*waiting)
            assert await blocked == "through"
            assert await pool.submit("return 1") == 1

    async def test_one_who_stops_waiting_passes_the_place_on(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        async with ThreadPool("passing", threads=1, max_queue=0, lua=lua) as pool:
            only = gate()
            blocked = pool.submit(only.chunk)
            waiting = [asyncio.ensure_future(pool.room()) for _ in range(4)]
            await only.entered()
            waiting[1].cancel()
            only.open()
            await blocked
            # The first has been granted its place and has not run since: it is cancelled with it.
            waiting[0].cancel()
            async with asyncio.timeout(10):
                outcomes = await asyncio.gather(*waiting, return_exceptions=True)
            assert outcomes[2:] == [None, None]
            assert await pool.submit("return 1") == 1

    async def test_who_asks_for_room_gets_the_place_of_a_cancelled_task(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        async with ThreadPool("freed", threads=1, max_queue=1, lua=lua) as pool:
            only = gate()
            blocked = pool.submit(only.chunk)
            await only.entered()
            pool.submit("return 1").cancel()
            async with asyncio.timeout(10):
                await pool.room()
            after = pool.submit("return 2")
            only.open()
            assert await asyncio.gather(blocked, after) == ["through", 2]

    async def test_a_wait_for_room_that_is_dropped_takes_no_place(
        self, lua: str, gate: Callable[[], Gate]
    ) -> None:
        async with ThreadPool("dropped", threads=1, max_queue=0, lua=lua) as pool:
            only = gate()
            blocked = pool.submit(only.chunk)
            waiting = pool.room()
            waiting.send(None)
            await only.entered()
            only.open()
            await blocked
            waiting.close()
            assert await pool.submit("return 1") == 1

    async def test_closing_the_pool_ends_the_wait(self, lua: str, gate: Callable[[], Gate]) -> None:
        pool = ThreadPool("closing", threads=1, max_queue=0, lua=lua)
        await pool.open()
        only = gate()
        blocked = pool.submit(only.chunk)
        waiting = asyncio.ensure_future(pool.room())
        await only.entered()
        closing = asyncio.ensure_future(pool.aclose())
        with pytest.raises(PoolClosedError, match='thread pool "closing" is closed'):
            await waiting
        only.open()
        await closing
        assert await blocked == "through"
