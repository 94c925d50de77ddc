"""The module ngx.semaphore."""

from __future__ import annotations

import asyncio
import random

import pytest

from threadpool_lua import LuaError, LuaTimeLimitError, ThreadPool

from .helpers import at_rest, until

# A semaphore that all tasks of a state share, as one of a module is.
SHARED = "semaphore = require('ngx.semaphore').new(0)"


async def test_units_are_counted(pool: ThreadPool) -> None:
    source = """
        local semaphore = require "ngx.semaphore"
        local sema = semaphore.new(2)
        local counts = {sema:count()}
        assert(sema:wait(0) and sema:wait(1))
        counts[2] = sema:count()
        local late = {select(2, sema:wait(0))}
        local later = {select(2, sema:wait(0.001))}
        assert(sema:post() and sema:post(3))
        counts[3] = sema:count()
        return counts, late, later, semaphore.new():count()
    """
    assert await pool.submit(source) == ([2, 0, 4], ["timeout"], ["timeout"], 0)


async def test_light_threads_wait_in_turn(pool: ThreadPool) -> None:
    source = """
        local sema = require("ngx.semaphore").new(0)
        local order, threads = {}, {}
        for i = 1, 3 do
          threads[i] = ngx.thread.spawn(function()
            assert(sema:wait(10))
            order[#order + 1] = i
          end)
        end
        local waiting = sema:count()
        ngx.sleep(0.001)
        sema:post(2)
        ngx.thread.wait(threads[1])
        ngx.thread.wait(threads[2])
        local left = sema:count()
        sema:post(5)
        ngx.thread.wait(threads[3])
        return waiting, left, sema:count(), order
    """
    assert await pool.submit(source) == (-3, -1, 4, [1, 2, 3])


async def test_a_task_wakes_another_one(lua: str) -> None:
    async with ThreadPool(threads=2, states=1, lua=lua, init=SHARED) as pool, asyncio.timeout(10):
        waiting = [pool.submit("assert(semaphore:wait(60)) return ...", n) for n in range(10)]
        await until(lambda: pool.statistics().paused == 10)
        assert await pool.submit("semaphore:post(10) return semaphore:count()") == 0
        assert await asyncio.gather(*waiting) == list(range(10))


async def test_who_is_killed_takes_no_unit_along(lua: str) -> None:
    async with ThreadPool(threads=2, states=1, lua=lua, init=SHARED) as pool, asyncio.timeout(10):
        waiting = [pool.submit("assert(semaphore:wait(60)) return ...", n) for n in range(4)]
        await until(lambda: pool.statistics().paused == 4)
        for task in waiting[::2]:
            task.cancel()
        await until(lambda: pool.statistics().coroutines == 2)
        assert await pool.submit("return semaphore:count()") == -2
        await pool.submit("semaphore:post(3)")
        assert await asyncio.gather(waiting[1], waiting[3]) == [1, 3]
        assert await pool.submit("return semaphore:count(), semaphore:wait(0)") == (1, True)
        await at_rest(pool)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("semaphore.new(-1)", "no negative number"),
        ("semaphore.new(0/0)", "no negative number"),
        ("sema:wait(-1)", "no negative number"),
        ("sema:wait(0/0)", "no negative number"),
        ("sema:wait()", r"bad argument #1 to 'wait' \(number expected\)"),
        ("sema:post(0)", "positive number required"),
        ("sema:post(0/0)", "positive number required"),
        ("sema.count({})", "semaphore expected"),
    ],
)
async def test_bad_arguments(pool: ThreadPool, call: str, message: str) -> None:
    with pytest.raises(LuaError, match=rf":2: .*{message}"):
        await pool.submit(
            "local semaphore = require('ngx.semaphore') local sema = semaphore.new(0)\n" + call
        )


async def test_no_unit_is_lost_or_made_between_threads(lua: str) -> None:
    """Half of the tasks post, half wait, a quarter of these not for long; all in one state."""
    wait = "return semaphore:wait(...) and 1 or 0"
    async with ThreadPool(threads=4, states=1, lua=lua, init=SHARED) as pool, asyncio.timeout(30):
        waits, posts = [], []
        for n in range(1000):
            waits.append(pool.submit(wait, 0.001 if n % 4 == 0 else 60))
            posts.append(pool.submit("semaphore:post()"))
            if n % 5 == 0:
                await asyncio.sleep(0)
        taken = sum(await asyncio.gather(*waits))
        await asyncio.gather(*posts)
        assert await pool.submit("return semaphore:count()") == 1000 - taken


async def test_no_unit_is_lost_where_waiters_are_cancelled(lua: str) -> None:
    """At any moment: before they wait, on the way there, and when they have been given a unit."""
    init = "taken = { 0 } " + SHARED
    wait = "semaphore:wait(60) taken[1] = taken[1] + 1"
    draw = random.Random(7)
    async with ThreadPool(threads=2, states=1, lua=lua, init=init) as pool, asyncio.timeout(30):
        waits, posts = [], []
        for n in range(1000):
            waits.append(pool.submit(wait))
            if n % 2:
                posts.append(pool.submit("semaphore:post()"))
                draw.choice(waits[-20:]).cancel()
            if n % 5 == 0:
                await asyncio.sleep(0)
        await asyncio.gather(*posts)
        await until(lambda: pool.statistics().in_flight == 0)
        waiting = pool.statistics().paused
        taken, count = await pool.submit("return taken[1], semaphore:count()")
        assert taken + max(count, 0) == 500
        assert waiting == max(-count, 0)
        for task in waits:
            task.cancel()
        await at_rest(pool)
        assert await pool.submit("return semaphore:count()") == max(count, 0)


async def test_what_it_consists_of_nobody_gets_at(pool: ThreadPool) -> None:
    source = """
        local semaphore = require "ngx.semaphore"
        local sema, other = semaphore.new(1), setmetatable({}, { __index = semaphore })
        for key in pairs(sema) do return key end
        sema.units, sema.number, sema.waiting = 1e9, {}, "x"
        return sema:count(), getmetatable(sema), pcall(other.post, other)
    """
    count, metatable, ok, message = await pool.submit(source)
    assert (count, metatable, ok) == (1, False, False)
    assert "semaphore expected" in message


async def test_who_is_ended_by_a_limit_waits_no_more(lua: str) -> None:
    """Wherever in `wait` that is: no unit is lost, and nothing of it is kept."""
    source = """
        ngx.thread.spawn(function() while true do semaphore:wait(1) semaphore:post() end end)
        semaphore:post()
        while true do semaphore:wait(1) semaphore:post() end
    """
    async with (
        ThreadPool(threads=1, states=1, lua=lua, init=SHARED, time_limit=0.01) as pool,
        asyncio.timeout(20),
    ):
        for _ in range(40):
            with pytest.raises(LuaTimeLimitError):
                await pool.submit(source)
        await at_rest(pool)
        assert await pool.submit("return semaphore:count()") >= 0
        assert pool._threads is not None
        assert not pool._threads.states[0].waiters._futures
