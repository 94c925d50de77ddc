"""ngx.run_worker_thread and resty.threadpool: tasks that have others run, on any pool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from threadpool_lua import LuaError, ThreadPool, ThreadPools

from .helpers import at_rest, until

MODULE = """
    local M = {}
    function M.echo(...) return ... end
    function M.count(...) return select('#', ...), ... end
    function M.fail(what) error(what, 0) end
    function M.fail_with_table() error({}) end
    function M.sleep(...) ngx.sleep(0.001) return ... end
    function M.unpassable() return print end
    function M.nested(pool, depth)
      if depth == 0 then return 'bottom' end
      local ok, result = ngx.run_worker_thread(pool, 'worker', 'nested', pool, depth - 1)
      return ok and result .. '<' or result
    end
    M.value = 1
    return M
"""


@pytest.fixture
async def pools(lua: str, tmp_path: Path) -> AsyncIterator[ThreadPools]:
    """Pools "one", of one thread, and "other", which returns bytes."""
    (tmp_path / "worker.lua").write_text(MODULE)
    (tmp_path / "no_table.lua").write_text("return 1")
    path = f"{tmp_path}/?.lua;;"
    one = ThreadPool("one", threads=1, lua=lua, package_path=path)
    other = ThreadPool("other", threads=2, lua=lua, package_path=path, encoding=None)
    async with asyncio.timeout(30), ThreadPools(one, other) as pools:
        yield pools
        await at_rest(one)
        await at_rest(other)


class TestRunWorkerThread:
    @pytest.mark.parametrize("pool", ["one", "other"])
    async def test_results(self, pools: ThreadPools, pool: str) -> None:
        submit = pools["one"].submit
        run = "return ngx.run_worker_thread(..., 'worker', "
        assert await submit(run + "'echo')", pool) is True
        assert await submit(run + "'echo', 1, 'x', true, {a = {1, 2}})", pool) == (
            True, 1, "x", True, {"a": [1, 2]}
        )  # fmt: skip
        assert await submit(run + "'count', nil, 1, nil)", pool) == (True, 3, None, 1, None)
        assert await submit(run + "'sleep', 'slept')", pool) == (True, "slept")

    async def test_any_string_passes_whatever_the_encodings(self, pools: ThreadPools) -> None:
        source = """
            local all = {}
            for i = 0, 255 do all[#all + 1] = string.char(i) end
            all = table.concat(all)
            for _, pool in ipairs {'one', 'other'} do
              local ok, same = ngx.run_worker_thread(pool, 'worker', 'echo', all:rep(10000))
              assert(ok and same == all:rep(10000))
              local ok, t = ngx.run_worker_thread(pool, 'worker', 'echo', {[all] = all, null})
              assert(ok and t[all] == all and t[1] == ngx.null)
            end
        """
        for pool in pools:
            await pools[pool].submit(source)

    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            ("'one', 'worker'", "expecting at least 3 arguments"),
            ("{}, 'worker', 'echo'", "threadpool should be a string"),
            ("'one', {}, 'echo'", "module name should be a string"),
            ("'one', 'worker', {}", "function name should be a string"),
            ("'two', 'worker', 'echo'", "thread_pool not found"),
            ("'one', 'no_table', 'echo'", "invalid lua module"),
            ("'one', 'worker', 'value'", "invalid function"),
            ("'one', 'worker', 'nothing'", "invalid function"),
            ("'one', 'worker', 'echo', print", "unsupported argument type"),
            ("'one', 'worker', 'unpassable'", "unsupported return value"),
            ("'one', 'worker', 'fail', 'why'", "why"),
            ("'other', 'worker', 'fail', 'why'", "why"),
        ],
    )
    async def test_errors(self, pools: ThreadPools, arguments: str, why: str) -> None:
        assert await pools["one"].submit(f"return ngx.run_worker_thread({arguments})") == (
            False,
            why,
        )

    async def test_other_errors(self, pools: ThreadPools) -> None:
        submit = pools["one"].submit
        run = "return ngx.run_worker_thread('one', 'worker', "
        ok, why = await submit(run + "'fail_with_table')")
        assert (ok, why) == (False, "(error object is a table value)")
        ok, why = await submit("return ngx.run_worker_thread('one', 'nowhere', 'f')")
        assert not ok
        assert why.startswith("module 'nowhere' not found")

    async def test_a_pool_of_one_thread_calls_itself(self, pools: ThreadPools) -> None:
        assert await pools["one"].submit(
            "return ngx.run_worker_thread('one', 'worker', 'nested', 'one', 20)"
        ) == (True, "bottom" + 20 * "<")

    async def test_a_full_queue(self, lua: str) -> None:
        source = "return ngx.run_worker_thread('small', 'string', 'rep', 'x', 2)"
        async with ThreadPool("small", threads=1, max_queue=0, lua=lua) as pool:
            assert await pool.submit(source) == (True, "xx")
            assert await pool.submit(
                "ngx.thread.spawn(function() ngx.sleep(0) " + source + " end)"
                "return ngx.thread.wait(ngx.thread.spawn(function() ngx.sleep(0)"
                + source
                + " end))"
            )

    async def test_many_at_once(self, pools: ThreadPools) -> None:
        source = """
            local threads, sum = {}, 0
            for i = 1, 100 do
              threads[i] = ngx.thread.spawn(ngx.run_worker_thread, 'other', 'worker', 'sleep', i)
            end
            for i = 1, 100 do
              local spawned, ok, n = ngx.thread.wait(threads[i])
              assert(spawned and ok)
              sum = sum + n
            end
            return sum
        """
        sums = [pools["one"].submit(source) for _ in range(20)]
        assert await asyncio.gather(*sums) == 20 * [5050]

    async def test_cancelling_the_caller_cancels_what_it_waits_for(
        self, pools: ThreadPools
    ) -> None:
        source = "return ngx.run_worker_thread('other', 'ngx', 'sleep', 3600)"
        task = pools["one"].submit(source)
        await until(lambda: pools["other"].statistics().paused == 1)
        task.cancel()
        await at_rest(pools["other"])
        assert pools["other"].statistics().cancelled == 1

    async def test_a_pool_alone_knows_itself(self, pool: ThreadPool) -> None:
        source = "return ngx.run_worker_thread('test', 'string', 'rep', 'x', 2)"
        assert await pool.submit(source) == (True, "xx")

    async def test_a_pool_that_closes_finishes_what_its_tasks_begin(self, lua: str) -> None:
        source = "ngx.sleep(0.01) return ngx.run_worker_thread('p', 'string', 'rep', 'x', 2)"
        async with ThreadPool("p", threads=1, lua=lua) as pool:
            task = pool.submit(source)
        assert task.result() == (True, "xx")


class TestRestyThreadpool:
    @pytest.mark.parametrize("pool", ["one", "other"])
    async def test_yields_and_values_both_ways(self, pools: ThreadPools, pool: str) -> None:
        source = """
            local threadpool = require "resty.threadpool"
            local t = threadpool.create(..., function(a, b)
              local c, d = coroutine.yield(a + b, 'first')
              coroutine.yield()
              ngx.sleep(0)
              return c .. d, nil
            end)
            local statuses = {t:status()}
            local results = {{t:resume(20, 22)}}
            statuses[2] = t:status()
            results[2] = {n = select('#', t:resume('x', 'y'))}
            results[3] = {n = select('#', t:resume())}
            statuses[3] = t:status()
            results[4] = {select(2, t:resume())}
            return statuses, results
        """
        assert await pools["one"].submit(source, pool) == (
            ["created", "yielded", "success"],
            [
                [42, "first"],
                {"n": 0},
                {"n": 2},
                ["cannot resume a thread whose status is 'success'"],
            ],
        )

    async def test_upvalues_are_copied(self, pools: ThreadPools) -> None:
        source = """
            local threadpool = require "resty.threadpool"
            local counter, config, byte = 10, {deep = {er = 'x'}}, string.byte
            local function count() counter = counter + 1 return counter end
            local function work() count() return count(), config.deep.er, byte('A') end
            local first = {threadpool.create('other', work):resume()}
            local second = {threadpool.create('other', work):resume()}
            return first, second, counter
        """
        assert await pools["one"].submit(source) == ([12, "x", 65], [12, "x", 65], 10)

    async def test_errors(self, pools: ThreadPools) -> None:
        source = """
            local threadpool = require "resty.threadpool"
            local file = io.tmpfile()
            local function outcome(t) local _, why = t:resume() return {why, t:status()} end
            return {select(2, threadpool.create('one', function() return file end))},
              outcome(threadpool.create('two', function() end)),
              outcome(threadpool.create('one', function() error('why', 0) end)),
              outcome(threadpool.create('one', function() coroutine.yield(print) end)),
              outcome(threadpool.create('one', function() return print end))
        """
        assert await pools["one"].submit(source) == (
            ["upvalue 'file': cannot pass a userdata"],
            ["no pool 'two' found", "failed"],
            ["why", "failed"],
            ["unsupported yielded value", "failed"],
            ["unsupported return value", "failed"],
        )

    async def test_bytecode_stays_with_its_implementation(self) -> None:
        source = """
            local t = require("resty.threadpool").create('b', function() end)
            return select(2, t:resume())
        """
        async with ThreadPools(
            ThreadPool("a", threads=1, lua="lua54"), ThreadPool("b", threads=1, lua="lua53")
        ) as pools:
            assert await pools["a"].submit(source) == "cannot pass a function of lua54 to lua53"

    @pytest.mark.parametrize("call", ["create()", "create('one')", "create('one', 1)"])
    async def test_bad_arguments(self, pools: ThreadPools, call: str) -> None:
        with pytest.raises(LuaError, match=":1: bad argument #[12] to 'create'"):
            await pools["one"].submit(f"require('resty.threadpool').{call}")

    async def test_a_thread_ends_with_the_task_that_made_it(self, pools: ThreadPools) -> None:
        source = """
            local t = require("resty.threadpool").create('other', function()
              coroutine.yield(1)
              error('never')
            end)
            return t:resume()
        """
        assert await pools["one"].submit(source) == 1
        await at_rest(pools["other"])
        assert pools["other"].statistics().cancelled == 1

    async def test_close(self, pools: ThreadPools) -> None:
        source = """
            local t = require("resty.threadpool").create('other', function()
              coroutine.yield(1)
            end)
            t:resume()
            t:close()
            return t:status(), t:resume()
        """
        assert await pools["one"].submit(source) == (
            "destroyed",
            None,
            "cannot resume a thread whose status is 'destroyed'",
        )

    async def test_two_light_threads_cannot_resume_it_at_once(self, pools: ThreadPools) -> None:
        source = """
            local t = require("resty.threadpool").create('other', function() ngx.sleep(0.01) end)
            local one = ngx.thread.spawn(t.resume, t)
            local status = t:status()
            local other = {select(2, t:resume())}
            ngx.thread.wait(one)
            return status, other, t:status()
        """
        status, (why,), last = await pools["one"].submit(source)
        assert status in ("queued", "running")
        assert why.startswith("cannot resume a thread whose status is '")
        assert last == "success"

    async def test_threads_of_threads_on_one_thread(self, pools: ThreadPools) -> None:
        source = """
            local function down(depth)
              if depth == 0 then return 'bottom' end
              local create = require("resty.threadpool").create
              return create('one', down):resume(depth - 1)
            end
            return down(10)
        """
        assert await pools["one"].submit(source) == "bottom"
