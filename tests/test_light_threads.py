"""ngx.sleep and ngx.thread: coroutines of one task that wait side by side."""

from __future__ import annotations

import asyncio
import logging
import random
import threading

import pytest

from threadpool_lua import (
    LuaError,
    LuaTimeLimitError,
    PoolClosedError,
    ThreadPool,
    _implementation,
)

from .helpers import at_rest, until

one_lua = pytest.mark.parametrize("lua", ["luajit21"])  # where it is Python that does it
every_lua = pytest.mark.parametrize("lua", _implementation.NAMES)

FOREVER = "ngx.sleep(3600)"


class TestSleep:
    @every_lua
    async def test_a_thousand_tasks_sleep_at_once(self, lua: str) -> None:
        async with ThreadPool(threads=2, lua=lua) as pool, asyncio.timeout(20):
            tasks = [pool.submit("ngx.sleep(0.1) return ...", n) for n in range(1000)]
            assert await asyncio.gather(*tasks) == list(range(1000))

    async def test_no_thread_is_held(self, pool: ThreadPool) -> None:
        sleeping = [pool.submit(FOREVER) for _ in range(10)]
        await until(lambda: pool.statistics().paused == 10)
        assert await pool.submit("return 'free'") == "free"
        for task in sleeping:
            task.cancel()
        await at_rest(pool)

    async def test_nothing_is_returned(self, pool: ThreadPool) -> None:
        assert await pool.submit("return select('#', ngx.sleep(0)), (ngx.sleep('0.001'))") == (
            0,
            None,
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ("", r"bad argument #1 to 'sleep' \(number expected, got no value\)"),
            ("{}", r"bad argument #1 to 'sleep' \(number expected, got table\)"),
            ("-1", 'invalid sleep duration "-1"'),
            ("0/0", "invalid sleep duration"),
        ],
    )
    async def test_bad_arguments(self, pool: ThreadPool, arguments: str, message: str) -> None:
        with pytest.raises(LuaError, match=rf":1: {message}"):
            await pool.submit(f"ngx.sleep({arguments})")

    async def test_init_cannot_sleep(self, lua: str) -> None:
        async with ThreadPool(threads=1, lua=lua, init="ngx.sleep(0)") as pool:
            with pytest.raises(Exception, match="API disabled in the context of init_by_lua"):
                await pool.submit("")


class TestThreads:
    async def test_they_run_at_once_until_they_pause_and_then_side_by_side(
        self, pool: ThreadPool
    ) -> None:
        source = """
            local events = {}
            local function note(event) events[#events + 1] = event end
            local function run(name, seconds)
              note(name .. ' begins')
              ngx.sleep(seconds)
              note(name .. ' ends')
              return name, seconds
            end
            local slow = ngx.thread.spawn(run, 'slow', 0.1)
            note('between')
            local quick = ngx.thread.spawn(run, 'quick', 0)
            local first = {ngx.thread.wait(slow, quick)}
            local second = {ngx.thread.wait(slow)}
            return events, first, second
        """
        assert await pool.submit(source) == (
            ["slow begins", "between", "quick begins", "quick ends", "slow ends"],
            [True, "quick", 0],
            [True, "slow", 0.1],
        )

    @every_lua
    async def test_a_task_ends_when_its_last_thread_does(self, lua: str) -> None:
        calls = []
        functions = {"call": calls.append}
        source = """
            for i = 1, 3 do
              ngx.thread.spawn(function() ngx.sleep(0.001) host.call(i) end)
            end
            host.call('returns')
            return 'result'
        """
        async with ThreadPool(threads=2, lua=lua, functions=functions) as pool:
            assert await pool.submit(source) == "result"
            assert calls[0] == "returns"
            assert sorted(calls[1:]) == [1, 2, 3]

    async def test_any_values_are_passed_and_returned(self, pool: ThreadPool) -> None:
        source = """
            local t, f = {}, print
            local co = ngx.thread.spawn(function(...)
              assert(select('#', ...) == 4 and ... == t)
              ngx.sleep(0)
              return nil, t, f, nil
            end, t, nil, f, nil)
            local results = {n = select('#', ngx.thread.wait(co))}
            co = ngx.thread.spawn(function() return nil, t, f, nil end)
            local ok, a, b, c, d = ngx.thread.wait(co)
            return results.n, ok, a == nil and b == t and c == f and d == nil
        """
        assert await pool.submit(source) == (5, True, True)

    async def test_what_a_thread_raises_is_logged_and_returned(
        self, pool: ThreadPool, caplog: pytest.LogCaptureFixture
    ) -> None:
        source = """
            local function fail() ngx.sleep(0) error({code = 7}) end
            local one = ngx.thread.spawn(function() error('at once') end)
            local other = ngx.thread.spawn(function() ngx.sleep(0) error('later') end)
            local third = ngx.thread.spawn(fail)
            local ok, why = ngx.thread.wait(third)
            return {ngx.thread.wait(one)}, {ngx.thread.wait(other)}, ok, why.code
        """
        one, other, ok, code = await pool.submit(source)
        assert (one[0], other[0], ok, code) == (False, False, False, 7)
        assert one[1].endswith(":3: at once")
        assert other[1].endswith(":4: later")
        logged = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert len(logged) == 3
        assert "lua user thread aborted: runtime error" in logged[0].getMessage()
        assert [record.lineno for record in logged] == [3, 4, 2]

    async def test_host_functions_and_yields(self, pool: ThreadPool) -> None:
        @pool.function
        async def double(x: int) -> int:
            await asyncio.sleep(0)
            return 2 * x

        source = """
            local threads, sum = {}, 0
            for i = 1, 10 do
              threads[i] = ngx.thread.spawn(function()
                local doubled = host.double(i)
                coroutine.yield('seen by nobody')
                local generator = coroutine.wrap(function()
                  ngx.sleep(0)
                  coroutine.yield(host.double(doubled))
                end)
                local value = generator()
                sum = sum + value
              end)
            end
            for i = 1, 10 do assert(ngx.thread.wait(threads[i])) end
            return sum
        """
        assert await pool.submit(source) == 4 * 55

    async def test_threads_of_threads(self, pool: ThreadPool) -> None:
        source = """
            local function tree(depth)
              ngx.sleep(0)
              if depth == 0 then return 1 end
              local one = ngx.thread.spawn(tree, depth - 1)
              local other = ngx.thread.spawn(tree, depth - 1)
              local _, a = ngx.thread.wait(one)
              local _, b = ngx.thread.wait(other)
              return a + b
            end
            return tree(5)
        """
        assert await pool.submit(source) == 32

    async def test_kill(self, pool: ThreadPool) -> None:
        source = """
            local done = false
            local sleeper = ngx.thread.spawn(function() ngx.sleep(3600) done = true end)
            local killed = {ngx.thread.kill(sleeper)}
            local again = {select(2, ngx.thread.kill(sleeper))}
            local waited = {select(2, ngx.thread.wait(sleeper))}
            local quick = ngx.thread.spawn(function() end)
            local late = {select(2, ngx.thread.kill(quick))}
            local other = {select(2, ngx.thread.kill(coroutine.create(print)))}
            return killed, again, waited, late, other, done
        """
        assert await pool.submit(source) == (
            [1],
            ["already waited or killed"],
            ["already waited or killed"],
            ["already terminated"],
            ["not user thread"],
            False,
        )
        await at_rest(pool)

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("ngx.thread.spawn()", r"bad argument #1 to 'spawn' \(function expected, got no value"),
            ("ngx.thread.wait()", "at least one coroutine should be specified"),
            ("ngx.thread.wait(1)", "lua thread expected"),
            (
                "ngx.thread.wait(coroutine.create(print))",
                "attempt to wait on a coroutine that is not a user thread",
            ),
            (
                "local t = ngx.thread.spawn(function() end)\n"
                "coroutine.wrap(function() ngx.thread.wait(t) end)()",
                "only the parent coroutine can wait on the thread",
            ),
        ],
    )
    async def test_misuse(self, pool: ThreadPool, source: str, message: str) -> None:
        with pytest.raises(LuaError, match=message):
            await pool.submit(source)

    async def test_globals_are_the_tasks(self, pool: ThreadPool) -> None:
        source = """
            shared_by_both = 1
            local t = ngx.thread.spawn(function() ngx.sleep(0) shared_by_both = 2 end)
            ngx.thread.wait(t)
            return shared_by_both
        """
        assert await pool.submit(source) == 2
        assert await pool.submit("return shared_by_both") is None

    @pytest.mark.parametrize(
        "code",
        [
            # It returns itself, and nobody waits for it.
            "spawn(function() note() return coroutine.running() end)",
            # It knows who has begun it, and that one is killed.
            """local parent = spawn(function()
                 local child = spawn(function() note() ngx.sleep(0) end)
                 ngx.sleep(3600)
                 return child
               end)
               ngx.thread.kill(parent)""",
            # It cannot begin, as table.sort does not let the task pause.
            """table.sort({ 2, 1 }, function(a, b)
                 pcall(spawn, function() note() ngx.sleep(3600) end)
                 return a < b
               end)""",
        ],
    )
    async def test_one_that_is_of_no_more_use_is_garbage(self, pool: ThreadPool, code: str) -> None:
        source = f"""
            local spawn = ngx.thread.spawn
            local threads = setmetatable({{}}, {{ __mode = "k" }})
            local noted = 0
            local function note()
              threads[coroutine.running()] = true
              noted = noted + 1
            end
            local function use() {code} end
            use()
            ngx.sleep(0.01)
            ngx.thread.wait(spawn(ngx.sleep, 0)) -- The one that has ended last is remembered.
            collectgarbage()
            collectgarbage()
            return noted > 0 and next(threads) == nil
        """
        assert await pool.submit(source) is True
        await at_rest(pool)

    async def test_ten_thousand_threads_in_one_task(self, pool: ThreadPool) -> None:
        source = """
            local count, threads = 0, {}
            for i = 1, 10000 do
              threads[i] = ngx.thread.spawn(function() ngx.sleep(0.01) count = count + 1 end)
            end
            for i = 1, #threads do assert(ngx.thread.wait(threads[i])) end
            return count
        """
        async with asyncio.timeout(30):
            assert await pool.submit(source) == 10_000


class TestTheEndOfATask:
    """Whatever ends a task ends its threads, too."""

    THREADS = "for i = 1, 5 do ngx.thread.spawn(function() ngx.sleep(3600) end) end "

    async def test_an_error(self, pool: ThreadPool) -> None:
        with pytest.raises(LuaError, match="enough"):
            await pool.submit(self.THREADS + "error('enough')")
        with pytest.raises(LuaError, match="enough"):
            await pool.submit(self.THREADS + "ngx.sleep(0) error('enough')")
        await at_rest(pool)

    @pytest.mark.parametrize(
        "then", ["", "ngx.sleep(3600)", "ngx.thread.wait(t)", "while true do ngx.sleep(0) end"]
    )
    async def test_cancelling(self, pool: ThreadPool, then: str) -> None:
        task = pool.submit(self.THREADS + "local t = ngx.thread.spawn(ngx.sleep, 3600) " + then)
        await until(lambda: pool.statistics().paused == 7)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await at_rest(pool)
        assert pool.statistics().submitted == pool.statistics().cancelled == 7

    async def test_a_pool_that_closes_waits_for_them(self, lua: str) -> None:
        async with ThreadPool(threads=1, lua=lua) as pool:
            task = pool.submit("ngx.thread.spawn(function() ngx.sleep(0.01) end) return 'done'")
        assert task.result() == "done"

    async def test_a_pool_that_closes_in_a_hurry_does_not(self, lua: str) -> None:
        pool = ThreadPool(threads=1, lua=lua)
        await pool.open()
        tasks = [pool.submit(self.THREADS), pool.submit(self.THREADS + FOREVER)]
        await until(lambda: pool.statistics().paused >= 12)
        async with asyncio.timeout(10):
            await pool.aclose(timeout=0)
        for task in tasks:
            assert isinstance(task.exception(), PoolClosedError)

    async def test_a_coroutine_of_its_owner(self, pool: ThreadPool) -> None:
        coroutine = pool.create(self.THREADS + "coroutine.yield(1) return 2")
        assert await coroutine.resume() == 1
        assert coroutine.status == "yielded"
        await coroutine.close()
        await at_rest(pool)
        coroutine = pool.create(
            "local t = ngx.thread.spawn(ngx.sleep, 0) coroutine.yield(1) return 2"
        )
        assert await coroutine.resume() == 1
        assert await coroutine.resume() == 2
        assert coroutine.status == "success"

    @pytest.mark.parametrize("prefetch", [0, 10])
    async def test_a_stream(self, pool: ThreadPool, prefetch: int) -> None:
        source = """
            local rows = 0
            ngx.thread.spawn(function() while rows < 3 do ngx.sleep(0.001) end end)
            for i = 1, 3 do coroutine.yield(i) rows = i end
        """
        async with asyncio.timeout(10):
            assert [row async for row in pool.stream(source, prefetch=prefetch)] == [1, 2, 3]
        async for _ in pool.stream(self.THREADS + "coroutine.yield(1) coroutine.yield(2)"):
            break
        await at_rest(pool)

    async def test_a_map(self, pool: ThreadPool) -> None:
        source = "local n = ... ngx.thread.spawn(function() ngx.sleep(0) end) return n"
        async with asyncio.timeout(20):
            assert [n async for n in pool.map(source, range(200))] == list(range(200))
        await at_rest(pool)

    async def test_a_thread_that_begins_when_its_task_has_been_cancelled(
        self, pool: ThreadPool
    ) -> None:
        entered, may_go_on = threading.Event(), threading.Event()

        @pool.function
        def block() -> None:
            entered.set()
            may_go_on.wait(10)

        source = """
            ngx.thread.spawn(function()
              ngx.sleep(0)
              host.block()
              ngx.thread.spawn(function() while true do ngx.sleep(0.001) end end)
            end)
            ngx.sleep(3600)
        """
        task = pool.submit(source)
        await until(entered.is_set)
        task.cancel()
        await asyncio.sleep(0)
        may_go_on.set()
        await at_rest(pool)

    async def test_an_exception_of_on_yield(self, pool: ThreadPool) -> None:
        def refuse(_: object) -> None:
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await pool.submit(self.THREADS + "coroutine.yield(1)", on_yield=refuse)
        await at_rest(pool)


class TestLimits:
    async def test_threads_use_up_the_time_of_their_task(self, lua: str) -> None:
        """However many there are, none has time of its own."""
        source = """
            local function spin() ngx.sleep(0) while true do end end
            for i = 1, 50 do ngx.thread.spawn(spin) end
        """
        async with ThreadPool(threads=1, lua=lua, time_limit=0.3) as pool, asyncio.timeout(10):
            with pytest.raises(LuaTimeLimitError):
                await pool.submit(source)
            await at_rest(pool)

    async def test_a_task_does_not_get_by_its_limit_by_threads(self, lua: str) -> None:
        source = """
            local function work()
              for i = 1, 1e5 do local x = i end
              ngx.sleep(0)
              ngx.thread.spawn(work)
            end
            work()
        """
        async with ThreadPool(threads=1, lua=lua, time_limit=0.2) as pool, asyncio.timeout(10):
            with pytest.raises(LuaTimeLimitError):
                await pool.submit(source)
            await at_rest(pool)

    async def test_a_sandbox_has_threads(self, lua: str, caplog: pytest.LogCaptureFixture) -> None:
        source = """
            local t = ngx.thread.spawn(function() ngx.sleep(0) return 'yes' end)
            ngx.thread.spawn(function() ngx.sleep(0) error('not logged') end)
            return select(2, ngx.thread.wait(t))
        """
        async with ThreadPool(threads=1, lua=lua, sandbox=True) as pool:
            assert await pool.submit(source) == "yes"
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]

    async def test_a_state_of_its_own_lives_as_long_as_the_threads(self, lua: str) -> None:
        source = "ngx.thread.spawn(function() ngx.sleep(0.01) end) return ..."
        async with ThreadPool(threads=2, lua=lua, isolation="state") as pool, asyncio.timeout(10):
            tasks = [pool.submit(source, n) for n in range(20)]
            assert await asyncio.gather(*tasks) == list(range(20))
            await at_rest(pool)


@one_lua
async def test_nothing_is_lost_when_tasks_are_cancelled_at_any_moment(lua: str) -> None:
    source = """
        local n = ...
        local threads = {}
        for i = 1, n % 5 do
          threads[i] = ngx.thread.spawn(function()
            ngx.sleep(i % 2 / 1000)
            if i == 4 then error('no') end
            return i
          end)
        end
        if n % 2 == 0 then for i = 1, #threads do ngx.thread.wait(threads[i]) end end
        return n
    """
    draw = random.Random(7)
    async with ThreadPool(threads=3, lua=lua) as pool, asyncio.timeout(30):
        tasks = []
        for n in range(1500):
            tasks.append(pool.submit(source, n))
            if draw.random() < 0.3:
                draw.choice(tasks).cancel()
            if n % 10 == 0:
                await asyncio.sleep(0)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for n, outcome in enumerate(outcomes):
            assert outcome == n or isinstance(outcome, asyncio.CancelledError)
        await at_rest(pool)
        now = pool.statistics()
        assert now.submitted == now.completed + now.failed + now.cancelled + now.abandoned
