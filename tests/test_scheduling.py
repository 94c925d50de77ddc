"""Which thread and which state a task goes on in, and in what order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from threadpool_lua import ThreadPool

from .helpers import Gate, until

INIT = "state = {name = tostring({}), order = {}}"


class Bell:
    """An async host function that pauses a task until the test rings."""

    def __init__(self) -> None:
        self.waiting = 0
        self._rung = asyncio.Event()

    async def __call__(self) -> None:
        self.waiting += 1
        await self._rung.wait()

    def ring(self) -> None:
        self._rung.set()

    async def is_waited_for(self, count: int) -> None:
        async with asyncio.timeout(10):
            while self.waiting < count:
                await asyncio.sleep(0)


async def test_a_state_is_entered_by_one_thread_at_a_time(lua: str) -> None:
    chunk = """
        for _ = 1, 20 do
          assert(not state.entered)
          state.entered = true
          for _ = 1, 100 do end
          state.entered = false
          coroutine.yield()
        end
        return true
    """
    async with asyncio.timeout(60):
        async with ThreadPool("one", threads=4, states=4, lua=lua, init=INIT) as pool:
            results = await asyncio.gather(*(pool.submit(chunk) for _ in range(500)))
        assert all(results)


async def test_a_task_stays_in_its_state_and_the_states_are_bounded(lua: str) -> None:
    chunk = "local before = state.name; coroutine.yield(); return before, state.name"
    async with asyncio.timeout(60):
        async with ThreadPool("few", threads=4, states=2, lua=lua, init=INIT) as pool:
            results = await asyncio.gather(*(pool.submit(chunk) for _ in range(2000)))
            assert pool.statistics().states <= 2
    assert all(before == after for before, after in results)
    assert 1 <= len({before for before, _ in results}) <= 2


async def test_more_states_than_threads_are_made_when_tasks_are_paused(lua: str) -> None:
    bell = Bell()
    async with ThreadPool(
        "many", threads=1, states=3, lua=lua, init=INIT, functions={"wait": bell}
    ) as pool:
        paused = [pool.submit("host.wait() return state.name") for _ in range(5)]
        await bell.is_waited_for(5)
        assert pool.statistics().states == 3
        bell.ring()
        assert len(set(await asyncio.gather(*paused))) == 3


async def test_paused_tasks_take_neither_threads_nor_places_in_the_queue(lua: str) -> None:
    bell = Bell()
    async with ThreadPool(
        "small", threads=1, max_queue=1, lua=lua, functions={"wait": bell}
    ) as pool:
        paused = []
        for count in range(1, 101):
            paused.append(pool.submit("return host.wait(), ...", count))
            await bell.is_waited_for(count)
        statistics = pool.statistics()
        assert (statistics.paused, statistics.in_flight, statistics.states) == (100, 0, 1)
        await until(lambda: pool.statistics().busy == 0)
        assert repr(pool) == "<ThreadPool 'small' threads=1 busy=0 waiting=0 paused=100 states=1>"
        assert await pool.submit("return 'meanwhile'") == "meanwhile"
        bell.ring()
        assert await asyncio.gather(*paused) == [(None, i) for i in range(1, 101)]


async def test_a_new_task_goes_where_it_delays_no_paused_one(
    lua: str, gate: Callable[[], Gate]
) -> None:
    """And a paused task goes on, whichever thread the blocked one has."""
    for _ in range(10):
        bell = Bell()
        async with ThreadPool("two", threads=2, lua=lua, functions={"wait": bell}) as pool:
            paused = pool.submit("host.wait() return 'went on'")
            await bell.is_waited_for(1)
            only = gate()
            blocked = pool.submit(only.chunk)
            await only.entered()
            bell.ring()
            async with asyncio.timeout(10):
                assert await paused == "went on"
            assert not blocked.done()
            only.open()
            assert await blocked == "through"


async def test_a_task_that_blocks_delays_only_those_paused_in_its_state(
    lua: str, gate: Callable[[], Gate]
) -> None:
    bells = [Bell(), Bell()]
    async with ThreadPool(
        "two",
        threads=2,
        lua=lua,
        init=INIT,
        functions={"wait_0": bells[0], "wait_1": bells[1]},
    ) as pool:
        paused = []
        for number, bell in enumerate(bells):
            paused.append(pool.submit(f"host.wait_{number}() return state.name"))
            await bell.is_waited_for(1)
        only = gate()
        blocked = pool.submit(only.chunk)
        await only.entered()
        for bell in bells:
            bell.ring()
        async with asyncio.timeout(10):
            done, delayed = await asyncio.wait(paused, return_when=asyncio.FIRST_COMPLETED)
            [free_state] = [future.result() for future in done]
            for _ in range(100):
                assert await pool.submit("return state.name") == free_state
        assert len(delayed) == 1
        assert not blocked.done()
        only.open()
        await blocked
        async with asyncio.timeout(10):
            assert await delayed.pop() != free_state


async def test_what_was_set_aside_for_a_busy_state_goes_on_in_its_order(
    lua: str, gate: Callable[[], Gate]
) -> None:
    bells = [Bell() for _ in range(50)]
    functions = {f"wait_{i}": bell for i, bell in enumerate(bells)}
    async with ThreadPool("order", threads=2, lua=lua, init=INIT, functions=functions) as pool:
        chunk = "local i = ...; host['wait_' .. i](); table.insert(state.order, i)"
        paused = []
        for i, bell in enumerate(bells):
            paused.append(pool.submit(chunk, i))
            await bell.is_waited_for(1)
        gates = [gate(), gate()]
        blocked = [pool.submit(each.chunk) for each in gates]
        for each in gates:
            await each.entered()
        for bell in reversed(bells):
            bell.ring()
            await asyncio.sleep(0)
        gates[0].open()
        async with asyncio.timeout(10):
            await asyncio.wait(paused, return_when=asyncio.FIRST_COMPLETED)
            gates[1].open()
            await asyncio.gather(*paused, *blocked)
        orders = await asyncio.gather(*(pool.submit("return list(state.order)") for _ in range(20)))
    assert all(order == sorted(order, reverse=True) for order in orders)
    assert any(orders)


async def test_a_task_that_yields_for_ever_starves_nobody(lua: str) -> None:
    async with ThreadPool("endless", threads=1, lua=lua) as pool:
        endless = [pool.submit("while true do coroutine.yield() end") for _ in range(10)]
        async with asyncio.timeout(30):
            for i in range(200):
                assert await pool.submit("return ...", i) == i
            chunk = "for _ = 1, 50 do coroutine.yield() end return 'done'"
            assert await pool.submit(chunk) == "done"
        assert not any(future.done() for future in endless)
        for future in endless:
            future.cancel()
    assert pool.statistics().coroutines == 0
