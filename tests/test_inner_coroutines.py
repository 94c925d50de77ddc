"""Pausing a task inside of its calls and its own coroutines, on every Lua that lupa bundles."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from threadpool_lua import Chunk, LuaError, ThreadPool, _implementation
from threadpool_lua._implementation import NAMES

# Lua 5.1 cannot yield across pcall, metamethods and iterators; all the others can.
PAUSES_ANYWHERE = [name for name in NAMES if name != "lua51"]
CLOSES = ["lua54", "lua55"]  # to-be-closed variables

everywhere_but_in_lua51 = pytest.mark.parametrize("lua", PAUSES_ANYWHERE, indirect=True)

# What Lua says where it cannot yield, and what the pool adds to that.
REFUSAL = "attempt to yield across "
WHY = "(a task cannot pause inside a function of C that calls back)"
WHY_LUA51 = "(Lua 5.1 cannot pause a task inside pcall)"


@pytest.fixture(params=NAMES)
def lua(request: pytest.FixtureRequest) -> str:
    """All the Lua implementations that lupa bundles."""
    return str(request.param)


async def later(*values: Any) -> tuple[Any, ...]:
    await asyncio.sleep(0)
    return values


def plain(*values: Any) -> tuple[Any, ...]:
    return values


async def fail(message: str = "no such user") -> None:
    await asyncio.sleep(0)
    raise ValueError(message)


@pytest.fixture
async def pool(lua: str) -> AsyncIterator[ThreadPool]:
    """An open pool of one thread, and so one Lua state, with the functions above."""
    functions: dict[str, Callable[..., Any]] = {"later": later, "plain": plain, "fail": fail}
    async with ThreadPool("inner", threads=1, lua=lua, functions=functions) as pool:
        yield pool


async def run(pool: ThreadPool, source: str, *args: Any) -> Any:
    async with asyncio.timeout(10):
        return await pool.submit(Chunk(source, name="plugin"), *args)


def run_in_bare_lua(name: str, source: str) -> Any:
    """Return what `source` returns in a coroutine of a Lua that this library has not touched."""
    runtime = _implementation.load(name).module.LuaRuntime()
    main = "local source = ... return coroutine.wrap((loadstring or load)(source, '=plugin'))()"
    return runtime.execute(main, source)


@everywhere_but_in_lua51
class TestPausingInsideOfCalls:
    @pytest.mark.parametrize(
        ("source", "result"),
        [
            ("return pcall(host.later, 1, nil)", (True, 1, None)),
            ("return pcall(function(x) return host.later(x), host.plain(x) end, 7)", (True, 7, 7)),
            ("return pcall(pcall, pcall, host.later, 7)", (True, True, True, 7)),
            ("local ok, err = pcall(host.fail) return ok, err.message", (False, "no such user")),
            (
                "return pcall(function() host.later() error('mine', 0) end)",
                (False, "mine"),
            ),
        ],
    )
    async def test_pcall(self, pool: ThreadPool, source: str, result: Any) -> None:
        assert await run(pool, source) == result

    async def test_xpcall(self, pool: ThreadPool) -> None:
        source = """
            local function handler(err) return 'handled ' .. tostring(err) end
            local function works() return host.later(1), host.plain(2) end
            local function fails() host.later() host.fail() end
            local works_not, why = xpcall(fails, handler)
            return works_not, why, xpcall(works, handler)
        """
        why = "handled ValueError: no such user"
        assert await run(pool, source) == (False, why, True, 1, 2)

    async def test_an_error_after_a_pause_leaves_the_protected_calls_around_it_intact(
        self, pool: ThreadPool
    ) -> None:
        source = """
            local seen = {}
            local outer = pcall(function()
              for i = 1, 3 do
                local inner, err = pcall(function()
                  if host.later(i) == 2 then host.fail() end
                  return host.later(i)
                end)
                seen[i] = inner and 'well' or err.type
              end
              host.fail()
            end)
            return outer, seen
        """
        assert await run(pool, source) == (False, ["well", "ValueError", "well"])

    async def test_metamethods(self, pool: ThreadPool) -> None:
        source = """
            local log = {}
            local mt = {
              __index = function(_, key) return host.later(key) end,
              __newindex = function(_, key, value) log[#log + 1] = host.later(key .. value) end,
              __call = function(_, x) return host.later(x) end,
              __add = function(_, x) return host.later(x) end,
              __unm = function() return host.later('minus') end,
              __concat = function(_, x) return host.later(x) end,
              __eq = function() return host.later(true) end,
              __lt = function() return host.later(true) end,
              __le = function() return host.later(false) end,
            }
            local a, b = setmetatable({}, mt), setmetatable({}, mt)
            a.key = 'value'
            return a.field, log, a(1), a + 2, -a, a .. 'text', a == b, a < b, a <= b
        """
        assert await run(pool, source) == (
            *("field", ["keyvalue"], 1, 2),
            *("minus", "text", True, True, False),
        )

    async def test_iterators(self, pool: ThreadPool) -> None:
        source = """
            local seen = {}
            local function count(last, i) if i < last then return host.later(i + 1) end end
            for i in count, 3, 0 do seen[#seen + 1] = host.plain(i) end
            local function words()
              return coroutine.wrap(function()
                for _, word in ipairs {'a', 'b'} do coroutine.yield(host.later(word)) end
              end)
            end
            for word in words() do seen[#seen + 1] = word end
            return seen
        """
        assert await run(pool, source) == [1, 2, 3, "a", "b"]

    async def test_all_of_them_inside_each_other(self, pool: ThreadPool) -> None:
        source = """
            local lazy = setmetatable({}, {__index = function(_, n)
              local rows = coroutine.wrap(function()
                for i = 1, n do
                  local ok, x = pcall(host.later, i)
                  coroutine.yield(ok and x)
                end
              end)
              local sum = 0
              for x in rows do sum = sum + x end
              return sum
            end})
            local sums = coroutine.wrap(function()
              for n = 1, 4 do
                local _, sum = xpcall(function() return lazy[n] end, debug.traceback)
                coroutine.yield(host.plain(sum))
              end
            end)
            local all = {}
            for sum in sums do all[#all + 1] = sum end
            return all
        """
        assert await run(pool, source) == [1, 3, 6, 10]

    async def test_yields_at_the_top_of_a_chunk(self, pool: ThreadPool) -> None:
        source = """
            local mt = {__add = function(_, x) return coroutine.yield('add', x) end}
            local function iterator(_, x) return coroutine.yield('next', x) end
            local _, first = pcall(coroutine.yield, 'pcall')
            local sum = setmetatable({}, mt) + first
            local seen = {}
            for x in iterator, nil, nil do seen[#seen + 1] = x end
            return sum, seen
        """
        answers: list[Any] = [1, 2, "x", "y", None]
        yielded: list[tuple[Any, ...]] = []

        def on_yield(*values: Any) -> Any:
            yielded.append(values)
            return answers[len(yielded) - 1]

        assert await pool.submit(source, on_yield=on_yield) == (2, ["x", "y"])
        assert yielded == [("pcall",), ("add", 1), ("next", None), ("next", "x"), ("next", "y")]


class TestInnerCoroutines:
    async def test_generators_pause_the_task_three_deep(self, pool: ThreadPool) -> None:
        source = """
            local function numbers(last)
              return coroutine.wrap(function()
                for i = 1, last do coroutine.yield(host.later(i)) end
              end)
            end
            local function squares(last)
              return coroutine.wrap(function()
                local number = numbers(last)
                while true do
                  local n = number()
                  if not n then return end
                  coroutine.yield(host.plain(n) * host.later(n))
                end
              end)
            end
            local function sums(last)
              return coroutine.wrap(function()
                local square, sum = squares(last), 0
                while true do
                  local n = square()
                  if not n then return 'the end' end
                  sum = host.later(sum + n)
                  coroutine.yield(sum)
                end
              end)
            end
            local sum, all = sums(4), {}
            repeat
              all[#all + 1] = sum()
            until all[#all] == 'the end'
            return all
        """
        assert await run(pool, source) == [1, 5, 14, 30, "the end"]

    async def test_resume_and_yield_pass_values_as_ever(self, pool: ThreadPool) -> None:
        source = """
            local co = coroutine.create(function(...)
              local first = select('#', ...) + host.later(0)
              local second = select('#', coroutine.yield(first, host.later(nil, nil)))
              host.later()
              return nil, second, nil
            end)
            local function results(...) return {n = select('#', ...), ...} end
            local one = results(coroutine.resume(co, nil, nil))
            local two = results(coroutine.resume(co, nil, 1, nil))
            return one.n, one[1], one[2], two.n, two[1], two[3]
        """
        assert await run(pool, source) == (4, True, 2, 4, True, 3)

    async def test_a_host_function_may_be_all_that_a_coroutine_runs(self, pool: ThreadPool) -> None:
        source = """
            local ok, a, b = coroutine.resume(coroutine.create(host.later), 1, 2)
            return ok, a, b, coroutine.wrap(host.later)(3, 4)
        """
        assert await run(pool, source) == (True, 1, 2, 3, 4)

    async def test_their_status_is_what_it_is_without_a_pause(self, pool: ThreadPool) -> None:
        source = """
            local status, seen = coroutine.status, {}
            local outer, inner
            inner = coroutine.create(function()
              host.later()
              seen[#seen + 1] = status(inner) .. ' in ' .. status(outer)
              coroutine.yield(host.later())
              seen[#seen + 1] = status(inner) .. ' in ' .. status(outer)
              host.later()
            end)
            outer = coroutine.create(function()
              while coroutine.resume(inner) and status(inner) ~= 'dead' do
                host.later()
                seen[#seen + 1] = status(inner) .. ' under ' .. status(outer)
              end
              return host.later(status(inner))
            end)
            local before = status(outer)
            local _, last = coroutine.resume(outer)
            return before, seen, last, status(outer)
        """
        assert await run(pool, source) == (
            "suspended",
            ["running in normal", "suspended under running", "running in normal"],
            "dead",
            "dead",
        )

    async def test_running_tells_coroutines_apart_after_a_pause(self, pool: ThreadPool) -> None:
        source = """
            local running = coroutine.running
            local outside = running()
            local inside
            local co = coroutine.create(function()
              inside = running()
              host.later()
              return running() == inside and inside ~= outside
            end)
            local _, same = coroutine.resume(co)
            return same, inside == co, running() == outside
        """
        assert await run(pool, source) == (True, True, True)

    async def test_a_scheduler_of_the_users_own_can_run_many(self, pool: ThreadPool) -> None:
        source = """
            local queue, done = {}, {}
            for i = 1, 50 do
              queue[i] = coroutine.create(function()
                local sum = 0
                for step = 1, 3 do
                  sum = sum + host.later(i)
                  coroutine.yield()
                end
                done[i] = sum
              end)
            end
            while #queue > 0 do
              local co = table.remove(queue, 1)
              assert(coroutine.resume(co))
              if coroutine.status(co) ~= 'dead' then queue[#queue + 1] = co end
            end
            return done
        """
        assert await run(pool, source) == [3 * i for i in range(1, 51)]

    async def test_their_own_yields_go_to_their_own_resumer(self, pool: ThreadPool) -> None:
        """And those of the chunk to the loop."""
        source = """
            local gen = coroutine.wrap(function()
              local answer = coroutine.yield('to the chunk')
              coroutine.yield(answer)
            end)
            local first = gen()
            local answer = coroutine.yield('to the loop', first)
            return gen(answer)
        """
        yielded: list[tuple[Any, ...]] = []

        def on_yield(*values: Any) -> str:
            yielded.append(values)
            return "from the loop"

        assert await pool.submit(source, on_yield=on_yield) == "from the loop"
        assert yielded == [("to the loop", "to the chunk")]

    async def test_another_task_cannot_resume_one_that_waits_for_a_host_function(
        self, pool: ThreadPool
    ) -> None:
        """A module can share it among tasks; to these it runs."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        waiting = asyncio.Event()

        @pool.function
        async def ask() -> str:
            waiting.set()
            return await answer

        source = """
            local co = coroutine.create(function() return host.ask() end)
            package.loaded.shared = co
            return coroutine.resume(co)
        """
        asking = pool.submit(source)
        async with asyncio.timeout(10):
            await waiting.wait()
            meddling = await pool.submit(
                "local ok, why = coroutine.resume(require 'shared', 'meddled') return ok, why"
            )
            answer.set_result("answer")
            assert await asking == (True, "answer")
        assert meddling[0] is False and "cannot resume" in meddling[1]

    @pytest.mark.parametrize("lua", CLOSES, indirect=True)
    async def test_cancelling_the_task_closes_them_innermost_first(self, pool: ThreadPool) -> None:
        closed: list[str] = []
        waiting = asyncio.Event()

        @pool.function
        async def wait() -> None:
            waiting.set()
            await asyncio.Event().wait()

        source = """
            local closed = package.loaded.closed
            local function closing(name)
              return setmetatable({}, {__close = function() closed[#closed + 1] = name end})
            end
            local a <close> = closing('task')
            coroutine.wrap(function()
              local b <close> = closing('outer')
              coroutine.wrap(function()
                local c <close> = closing('inner')
                pcall(host.wait)
              end)()
            end)()
        """
        await pool.submit("package.loaded.closed = {}")
        task = pool.submit(source)
        async with asyncio.timeout(10):
            await waiting.wait()
            task.cancel()
            while len(closed) < 3:
                closed = await pool.submit("return list(package.loaded.closed)")
        assert closed == ["inner", "outer", "task"]
        assert pool.statistics().coroutines == 0


# What raises an error by way of a coroutine.
ERRORS = {
    "wrap": "local f = coroutine.wrap(function() error('boom') end)\nlocal x = f()",
    "wrap_level_0": "local f = coroutine.wrap(function() error('boom', 0) end)\nlocal x = f()",
    "wrap_level_2": "local f = coroutine.wrap(function() error('boom', 2) end)\nlocal x = f()",
    "wrap_lua_error": "local f = coroutine.wrap(function() return nil + 1 end)\nlocal x = f()",
    "wrap_c": "local f = coroutine.wrap(error)\nlocal x = f('boom')",
    "wrap_number": "local f = coroutine.wrap(function() error(7) end)\nlocal x = f()",
    "wrap_boolean": "local f = coroutine.wrap(function() error(false) end)\nlocal x = f()",
    "wrap_called_by_c": """
        local f = coroutine.wrap(function() error("boom") end)
        error(select(2, pcall(f)))
    """,
    "wrap_after_yield": """
        local f = coroutine.wrap(function() coroutine.yield() error('boom') end)
        f()
        local x = f()
    """,
    "wrap_in_wrap": """
        local f = coroutine.wrap(function() error('boom') end)
        local g = coroutine.wrap(function()
          local x = f()
        end)
        local x = g()
    """,
    "wrap_in_for": "local f = coroutine.wrap(function() error('boom') end)\nfor x in f do end",
    "wrap_dead": "local f = coroutine.wrap(function() end)\nf()\nlocal x = f()",
    "wrap_dead_of_error": """
        local f = coroutine.wrap(function() error('boom') end)
        pcall(f)
        local x = f()
    """,
    "resume": """
        local co = coroutine.create(function() error('boom') end)
        error(select(2, coroutine.resume(co)))
    """,
    "resume_dead": """
        local co = coroutine.create(function() end)
        coroutine.resume(co)
        error(select(2, coroutine.resume(co)))
    """,
}

# What resumes a coroutine that runs; Lua itself calls some of these dead, or non-suspended.
BUSY = {
    "wrap": """
        local f
        f = coroutine.wrap(function() local x = f() end)
        local x = f()
    """,
    "resume": """
        local co
        co = coroutine.create(function() return coroutine.resume(co) end)
        error(select(3, coroutine.resume(co)))
    """,
    "normal": """
        local co
        co = coroutine.create(function()
          return coroutine.wrap(function() return coroutine.resume(co) end)()
        end)
        error(select(3, coroutine.resume(co)))
    """,
}

MISUSES = ["resume(7)", "resume()", "resume(print)", "resume({})", "wrap(7)", "wrap()", "wrap({})"]


def catching(source: str) -> str:
    """Return source that returns, as text, whether `source` raises an error, and which."""
    return f"""
        local ok, why = pcall(function()
            {source}
        end)
        return tostring(ok), tostring(why)
    """


async def test_resume_and_wrap_return_as_many_values_as_lua_does(pool: ThreadPool) -> None:
    source = """
        local co = coroutine.create(function() coroutine.yield() return nil end)
        local yielded = select('#', coroutine.resume(co))
        local returned = select('#', coroutine.resume(co))
        return yielded, returned, select('#', coroutine.wrap(function() end)())
    """
    assert await run(pool, source) == (1, 2, 0)


class TestErrors:
    @pytest.mark.parametrize("name", ERRORS)
    async def test_they_have_the_text_that_lua_itself_gives(
        self, pool: ThreadPool, lua: str, name: str
    ) -> None:
        source = catching(ERRORS[name])
        assert await run(pool, source) == run_in_bare_lua(lua, source)

    @pytest.mark.parametrize("name", BUSY)
    async def test_one_that_runs_cannot_be_resumed(
        self, pool: ThreadPool, lua: str, name: str
    ) -> None:
        source = catching(BUSY[name])
        outcomes = await run(pool, source), run_in_bare_lua(lua, source)
        ours, luas = (
            (ok, re.sub(r"resume [\w-]+ coroutine$", "resume busy coroutine", why))
            for ok, why in outcomes
        )
        assert ours == luas
        assert "cannot resume busy coroutine" in ours[1]

    @pytest.mark.parametrize("misuse", MISUSES)
    async def test_misuse_is_the_error_of_the_line_that_misuses(
        self, pool: ThreadPool, lua: str, misuse: str
    ) -> None:
        source = catching(f"local x = coroutine.{misuse}")
        ok, why = await run(pool, source)
        name = misuse.split("(")[0]
        assert ok == "false"
        assert why.startswith(f"plugin:3: bad argument #1 to '{name}' (")
        assert "expected" in why

    async def test_they_have_it_after_a_pause(self, pool: ThreadPool) -> None:
        source = """
            local f = coroutine.wrap(function()
                host.later()
                error('boom')
            end)
            local x = f()
        """
        with pytest.raises(LuaError) as caught:
            await run(pool, source)
        assert str(caught.value) == "plugin:6: plugin:4: boom"

    async def test_an_error_value_comes_through_as_it_is(self, pool: ThreadPool) -> None:
        source = """
            local err = {code = 404}
            local co = coroutine.create(function() host.later() error(err) end)
            local ok, why = coroutine.resume(co)
            local again = coroutine.wrap(function() host.later() error(err) end)
            return ok, why == err, again()
        """
        with pytest.raises(LuaError) as caught:
            await run(pool, source)
        assert caught.value.value == {"code": 404}

    async def test_an_exception_of_a_host_function_comes_through_as_it_is(
        self, pool: ThreadPool
    ) -> None:
        raised = LookupError("ann")

        @pool.function
        async def find() -> None:
            raise raised

        source = """
            local co = coroutine.create(function() host.find() end)
            local ok, err = coroutine.resume(co)
            assert(not ok and err.type == 'LookupError' and coroutine.status(co) == 'dead')
            local gen = coroutine.wrap(function()
              coroutine.yield()
              coroutine.wrap(function() error(err) end)()
            end)
            gen()
            gen()
        """
        with pytest.raises(LookupError) as caught:
            await run(pool, source)
        assert caught.value is raised

    @pytest.mark.parametrize("lua", CLOSES, indirect=True)
    async def test_what_wrap_has_to_close_may_fail_too(self, pool: ThreadPool, lua: str) -> None:
        source = """
            local f = coroutine.wrap(function()
                local x <close> = setmetatable({}, {__close = function() error('closing') end})
                error('boom')
            end)
            local ok, why = pcall(function()
                local x = f()
            end)
            return tostring(ok), why
        """
        assert await run(pool, source) == run_in_bare_lua(lua, source)


# Calls of a host function from inside of functions in C that call back.
IN_C = {
    "sort": "table.sort({3, 2, 1}, function(a, b) return host.later(a < b) end)",
    "gsub": "local s = string.gsub('x', 'x', function(x) return host.later(x) end)",
    "tail_call": "return string.gsub('x', 'x', function(x) return host.plain(x) end)",
    "generator": "table.sort({3, 2, 1}, coroutine.wrap(function() host.later() end))",
    "inside_wrap": "coroutine.wrap(function() table.sort({3, 2, 1}, host.plain) end)()",
}
if_it_is_not_luajit = pytest.mark.parametrize(
    "lua", [name for name in NAMES if not name.startswith("luajit")], indirect=True
)


class TestWhereATaskCannotPause:
    @pytest.mark.parametrize("name", IN_C)
    async def test_functions_of_c_that_call_back_say_so(self, pool: ThreadPool, name: str) -> None:
        with pytest.raises(LuaError) as caught:
            await run(pool, f"\n{IN_C[name]}")
        assert REFUSAL in str(caught.value)
        assert str(caught.value).endswith(WHY)
        assert "threadpool_lua" not in str(caught.value)
        if name != "tail_call":  # That leaves no line behind in LuaJIT.
            assert caught.value.line == 2
        assert await run(pool, "return host.later('fine')") == "fine"
        assert pool.statistics().coroutines == 0

    @pytest.mark.parametrize("name", IN_C)
    async def test_lua_can_catch_that(self, pool: ThreadPool, name: str) -> None:
        source = f"""
            local ok, why = pcall(function() {IN_C[name]} end)
            return ok, why, host.later('fine')
        """
        ok, why, fine = await run(pool, source)
        assert (ok, fine) == (False, "fine")
        assert REFUSAL in why
        assert "threadpool_lua" not in why

    async def test_so_do_yields_at_the_top_of_a_chunk(self, pool: ThreadPool) -> None:
        source = "table.sort({3, 2, 1}, function() return coroutine.yield() end)"
        with pytest.raises(LuaError) as caught:
            await run(pool, source)
        assert REFUSAL in str(caught.value)
        assert str(caught.value).endswith(WHY)

    async def test_resume_returns_the_error_and_does_not_raise_it(
        self, pool: ThreadPool, lua: str
    ) -> None:
        if lua == "lua51":
            pytest.skip("Lua 5.1 cannot be asked whether a coroutine can yield")
        source = """
            local co = coroutine.create(function() return host.later(7) end)
            local ok, why
            local sorted = pcall(table.sort, {2, 1}, function()
              ok, why = coroutine.resume(co)
              return false
            end)
            return sorted, ok, why, coroutine.status(co), host.later('fine')
        """
        sorted_, ok, why, status, fine = await run(pool, source)
        assert (sorted_, ok, status, fine) == (True, False, "dead", "fine")
        assert REFUSAL in why

    async def test_a_coroutine_of_its_own_that_does_not_pause_may_run_there(
        self, pool: ThreadPool
    ) -> None:
        source = """
            local upper = coroutine.wrap(function(x)
              while true do x = coroutine.yield(x:upper()) end
            end)
            host.later()
            local text = ('a b'):gsub('%a', function(x) return upper(x) end)
            return text
        """
        assert await run(pool, source) == "A B"

    @pytest.mark.parametrize("lua", [n for n in NAMES if n[-2:] >= "53"], indirect=True)
    async def test_isyieldable_tells_where(self, pool: ThreadPool) -> None:
        source = """
            local seen = {coroutine.isyieldable()}
            pcall(function() seen[2] = coroutine.isyieldable() end)
            string.gsub('x', 'x', function() seen[3] = coroutine.isyieldable() end)
            coroutine.wrap(function() seen[4] = coroutine.isyieldable() end)()
            return seen
        """
        assert await run(pool, source) == [True, True, False, True]

    @if_it_is_not_luajit
    async def test_tostring_is_a_function_of_c_that_calls_back(self, pool: ThreadPool) -> None:
        mt = "{__tostring = function() return host.later('text') end}"
        with pytest.raises(LuaError) as caught:
            await run(pool, f"local text = tostring(setmetatable({{}}, {mt}))")
        assert str(caught.value).endswith(WHY)


@pytest.mark.parametrize("lua", ["lua51"], indirect=True)
class TestLua51:
    @pytest.mark.parametrize("call", ["pcall(host.later)", "xpcall(host.later, tostring)"])
    async def test_protected_calls_say_that_it_cannot(self, pool: ThreadPool, call: str) -> None:
        ok, why, fine = await run(
            pool, f"local ok, why = {call} return ok, why, host.later('fine')"
        )
        assert (ok, fine) == (False, "fine")
        assert why == f"attempt to yield across metamethod/C-call boundary {WHY_LUA51}"

    @pytest.mark.parametrize(
        "source",
        [
            "local x = setmetatable({}, {__index = function() return host.later(1) end}).x",
            "local x = setmetatable({}, {__add = function() return host.later(1) end}) + 1",
            "for x in function() return host.later(nil) end do end",
            "for x in coroutine.wrap(function() host.later() end) do end",
        ],
    )
    async def test_so_do_metamethods_and_iterators(self, pool: ThreadPool, source: str) -> None:
        with pytest.raises(LuaError) as caught:
            await run(pool, f"\n{source}")
        assert "attempt to yield across metamethod/C-call boundary (" in str(caught.value)
        assert caught.value.line == 2
        assert await run(pool, "return host.later('fine')") == "fine"

    async def test_protected_calls_that_do_not_pause_work_as_ever(self, pool: ThreadPool) -> None:
        source = """
            local ok, why = pcall(error, 'mine')
            local function results(...) return select('#', ...), ... end
            local also, handled = xpcall(function() error('x', 0) end, string.upper)
            return ok, why, also, handled, results(pcall(function(...) return ... end, nil, 1, nil))
        """
        assert await run(pool, source) == (
            *(False, "mine", False, "X"),
            *(4, True, None, 1, None),
        )

    async def test_a_coroutine_inside_of_pcall_that_does_not_pause_works(
        self, pool: ThreadPool
    ) -> None:
        source = """
            local _, sum = pcall(function()
              local sum = 0
              for x in coroutine.wrap(function() coroutine.yield(1) coroutine.yield(2) end) do
                sum = sum + x
              end
              return sum
            end)
            return sum, host.later('fine')
        """
        assert await run(pool, source) == (3, "fine")

    async def test_exceptions_of_host_functions_end_the_task(self, pool: ThreadPool) -> None:
        with pytest.raises(ValueError, match="no such user"):
            await run(pool, "coroutine.wrap(function() host.fail() end)()")

    async def test_a_coroutine_catches_where_pcall_cannot(self, pool: ThreadPool) -> None:
        source = """
            local co = coroutine.create(function() return host.fail() end)
            local ok, err = coroutine.resume(co)
            return ok, tostring(err), host.later('fine')
        """
        assert await run(pool, source) == (False, "ValueError: no such user", "fine")


class TestGlobals:
    """A state has other tasks run while one is paused; globals stay those of the task."""

    @pytest.mark.parametrize("pause", ["host.later()", "coroutine.yield()"])
    async def test_they_and_what_load_makes_belong_to_the_task(
        self, pool: ThreadPool, pause: str
    ) -> None:
        source = f"""
            local name = ...
            local load = loadstring or load
            seen = name
            {pause}
            local loaded = load('seen = seen .. "!" return seen')
            {pause}
            local first = loaded()
            {pause}
            return seen, _G.seen, first, load('return seen')(), name .. '!'
        """
        tasks = [run(pool, source, f"task {i}") for i in range(20)]
        assert await asyncio.gather(*tasks) == [(f"task {i}!",) * 5 for i in range(20)]
        assert await pool.submit("return seen") is None

    async def test_inside_of_inner_coroutines_too(self, pool: ThreadPool) -> None:
        source = """
            seen = ...
            local load = loadstring or load
            local gen = coroutine.wrap(function()
              host.later()
              load('seen = seen .. "!"')()
              coroutine.yield(seen)
              host.later()
              load('seen = seen .. "?"')()
              coroutine.yield(seen)
            end)
            local first = gen()
            host.later()
            return first, gen(), seen
        """
        tasks = [run(pool, source, str(i)) for i in range(20)]
        assert await asyncio.gather(*tasks) == [(f"{i}!", f"{i}!?", f"{i}!?") for i in range(20)]

    async def test_those_of_a_task_that_failed_or_was_cancelled_are_gone(
        self, pool: ThreadPool
    ) -> None:
        waiting = asyncio.Event()

        @pool.function
        async def wait() -> None:
            waiting.set()
            await asyncio.Event().wait()

        cancelled = pool.submit("seen = 'cancelled' host.wait()")
        async with asyncio.timeout(10):
            await waiting.wait()
        with pytest.raises(ValueError, match="no such user"):
            await run(pool, "seen = 'failed' host.fail()")
        cancelled.cancel()
        source = """
            local before, load = seen, loadstring or load
            host.later()
            return before, seen, load('return seen')()
        """
        assert await run(pool, source) == (None, None, None)
