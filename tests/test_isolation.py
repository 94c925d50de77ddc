"""What tasks share and what each has to itself, and how many tasks a state runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from threadpool_lua import LuaError, ThreadPool, _implementation

from .helpers import Gate, at_rest, until

asyncio_only = pytest.mark.asyncio(loop_factories=["asyncio"])

NAME = "name = tostring({})"  # for `init`: tells states apart


def one_state(lua: str, **options: object) -> ThreadPool:
    """Return a pool of one thread and one state."""
    return ThreadPool("test", threads=1, states=1, lua=lua, **options)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------- isolation = "task"

# What a task may change, and how the next one would notice. The library is changed in each way
# that there is to get at it.
LIBRARIES = {
    "luajit21": "string table math os io coroutine debug package bit ngx jit",
    "luajit20": "string table math os io coroutine debug package bit ngx jit",
    "lua51": "string table math os io coroutine debug package ngx",
    "lua52": "string table math os io coroutine debug package bit32 ngx",
    "lua53": "string table math os io coroutine debug package utf8 ngx",
    "lua54": "string table math os io coroutine debug package utf8 ngx",
    "lua55": "string table math os io coroutine debug package utf8 ngx",
}

CHANGE = """
    local name = ...
    local library = _G[name]
    assert(type(library) == 'table', name)
    assert(require(name) == library, name)
    assert(package.loaded[name] == library, name)
    for key in pairs(library) do
      if key ~= 'loaded' and key ~= 'path' and key ~= 'cpath' then library[key] = nil end
    end
    library.added = 'by a task'
    rawset(library, 'raw', 'by a task')
    setmetatable(library, {__index = function() return 'by a task' end})
    assert(library.anything == 'by a task' and _G[name].raw == 'by a task')
"""

LOOK = """
    local name = ...
    local library, names = _G[name], {}
    assert(require(name) == library and package.loaded[name] == library)
    assert(library.added == nil and library.raw == nil and library.anything == nil)
    if name == 'ngx' then return tostring(ngx.sleep) .. tostring(ngx.thread.spawn) end
    for key in pairs(library) do names[#names + 1] = key end
    table.sort(names)
    return table.concat(names, ' ')
"""


@pytest.mark.parametrize("lua", _implementation.NAMES)
async def test_what_a_task_does_to_a_library_no_other_sees(lua: str) -> None:
    async with one_state(lua) as pool:
        for library in LIBRARIES[lua].split():
            before = await pool.submit(LOOK, library)
            if library not in ("package", "ngx"):
                assert before.count(" ") >= 2
            if library == "package":
                await pool.submit("package.added = 1 rawset(package, 'raw', 1) package.loaded = {}")
            elif library == "ngx":
                await pool.submit("ngx.added = 1 ngx.sleep = nil ngx.thread.spawn = 1")
            else:
                await pool.submit(CHANGE, library)
            assert await pool.submit(LOOK, library) == before


@pytest.mark.parametrize("lua", _implementation.NAMES)
async def test_globals_are_those_of_a_task(lua: str) -> None:
    async with one_state(lua, init="shared = {value = 1}; plain = 1") as pool:
        await pool.submit(
            """
            local assert, load, loaded = assert, loadstring or load, package.loaded
            own = 1
            plain = 2
            rawset(_G, 'raw', 1)
            _G.by_g = 1
            print = 'mine'
            assert(not pcall(setmetatable, _G, {}))
            debug.setmetatable(_G, {__index = function(_, name) return 'no ' .. name end})
            assert(anything == 'no anything')
            loaded._G.by_loaded = 1
            load('by_load = 1')()
            """
        )
        assert (
            await pool.submit(
                """
            for _, name in ipairs {'own', 'raw', 'by_g', 'by_loaded', 'by_load'} do
              assert(_G[name] == nil, name)
            end
            assert(print and require and pcall and select)
            assert(_G._G == _G and package.loaded._G == _G and require('_G') == _G)
            assert(plain == 1 and _G.plain == 1)
            return shared.value
            """
            )
            == 1
        )


@asyncio_only
async def test_globals_are_those_of_the_task_in_all_that_it_runs(lua: str) -> None:
    chunk = """
        mine = ...
        local function seen() return mine end
        local co = coroutine.wrap(function() coroutine.yield(mine) return mine end)
        local loaded = (loadstring or load)('return mine')
        assert(seen() == ... and co() == ... and loaded() == ...)
        coroutine.yield()
        assert(seen() == ... and co() == ... and loaded() == ...)
        assert((loadstring or load)('return mine')() == ...)
        assert(_G.mine == ... and package.loaded._G.mine == ...)
        return mine
    """
    async with one_state(lua) as pool:
        tasks = [pool.submit(chunk, number) for number in range(20)]
        assert await asyncio.gather(*tasks) == list(range(20))


@asyncio_only
async def test_tasks_that_are_paused_in_one_state_see_each_their_own(lua: str) -> None:
    go_on = asyncio.Event()
    chunk = """
        local number = ...
        string.mine, mine, table.mine = number, number, number
        package.loaded.string.mine = number
        local required = require('string')
        host.wait()
        assert(string.mine == number and mine == number and table.mine == number)
        assert(required == string and require('string') == string)
        string.rep, string.mine = nil, nil
        host.wait()
        assert(string.rep == nil and string.mine == nil and ('x'):rep(2) == 'xx')
        return number
    """
    async with one_state(lua, functions={"wait": go_on.wait}) as pool:
        tasks = [pool.submit(chunk, number) for number in range(20)]
        await until(lambda: pool.statistics().paused == 20)
        assert await pool.submit("return string.mine, mine, string.rep('x', 2)") == (
            None,
            None,
            "xx",
        )
        go_on.set()
        assert await asyncio.gather(*tasks) == list(range(20))


@asyncio_only
async def test_the_items_of_a_map_see_each_their_own(lua: str) -> None:
    chunk = "assert(mine == nil and string.mine == nil) mine, string.mine = ..., ... return mine"
    async with one_state(lua) as pool:
        assert [result async for result in pool.map(chunk, range(1000))] == list(range(1000))


@pytest.mark.parametrize("lua", _implementation.NAMES)
async def test_methods_of_strings_are_not_changed_by_a_task(lua: str) -> None:
    async with one_state(lua) as pool:
        await pool.submit("function string.upper() return 'changed' end string.rep = nil")
        assert await pool.submit("return ('x'):upper(), string.upper('x'), ('x'):rep(2)") == (
            "X",
            "X",
            "xx",
        )
        # Their metatable is everybody's, and so it is nobody's.
        assert await pool.submit("return getmetatable('')") is False
        with pytest.raises(LuaError, match="attempt to (index|call)"):
            await pool.submit("getmetatable('').__index = {}")


@asyncio_only
async def test_the_host_table_is_that_of_a_task(lua: str) -> None:
    async with one_state(lua, functions={"twice": lambda x: 2 * x}) as pool:
        with pytest.raises(LuaError, match="cannot set host.twice"):
            await pool.submit("host.twice = 1")
        await pool.submit("rawset(host, 'twice', 1) rawset(host, 'other', 2)")
        await pool.submit("host = nil")
        assert await pool.submit("return host.twice(21), host.other") == (42, None)


def module(tmp_path: Path, name: str, text: str) -> str:
    (tmp_path / f"{name}.lua").write_text(text)
    return f"{tmp_path}/?.lua"


@pytest.mark.parametrize("lua", _implementation.NAMES)
async def test_modules_and_what_init_leaves_are_shared(lua: str, tmp_path: Path) -> None:
    path = module(
        tmp_path, "counter", "local M = {n = 0} function M.add() M.n = M.n + 1 end return M"
    )
    init = "cache = {} function remember(x) cache[#cache + 1] = x return cache end"
    async with one_state(lua, package_path=path, init=init) as pool:
        for _ in range(3):
            await pool.submit("require('counter').add()")
        assert await pool.submit("return require('counter').n") == 3
        assert await pool.submit("return package.loaded.counter.n") == 3
        assert await pool.submit("package.loaded.counter = nil return require('counter').n") == 0
        assert await pool.submit("return require('counter').n") == 0
        await pool.submit("remember('one')")
        assert await pool.submit("return remember('two')") == ["one", "two"]
        await pool.submit("package.preload.made = function() return {made = true} end")
        assert await pool.submit("return require('made').made") is True


@asyncio_only
async def test_globals_that_a_module_sets_are_the_states(lua: str, tmp_path: Path) -> None:
    path = module(tmp_path, "sets", "set_by_module = 1 return true")
    async with one_state(lua, package_path=path) as pool:
        await pool.submit("require('sets')")
        assert await pool.submit("return set_by_module") == 1
        await pool.submit("set_by_module = 2")
        assert await pool.submit("return set_by_module") == 1


@asyncio_only
async def test_what_init_does_to_libraries_all_tasks_see(lua: str) -> None:
    init = """
        function string.shout(s) return s:upper() .. '!' end
        table.added = {1}
        function tostring() return 'changed' end
    """
    async with one_state(lua, init=init) as pool:
        for _ in range(2):
            assert await pool.submit(
                "return ('hey'):shout(), string.shout('you'), table.added, tostring(1)"
            ) == ("HEY!", "YOU!", [1], "changed")
            await pool.submit("string.shout, table.added = nil, nil")


@pytest.mark.parametrize("lua", _implementation.NAMES)
async def test_where_modules_are_sought_is_the_same_for_all_tasks(lua: str) -> None:
    async with one_state(lua, package_path="here/?.lua", init=NAME) as pool:
        for path in "path", "cpath":
            with pytest.raises(LuaError) as caught:
                await pool.submit(f"package.{path} = 'there/?.lua'")
            assert str(caught.value).endswith(
                f"package.{path} is the same for all tasks: set package_{path} of the thread pool, "
                "or change it in init"
            )
        assert await pool.submit("return package.path") == "here/?.lua"
        assert await pool.submit("package.mine = 1 return package.mine") == 1
        assert await pool.submit("return package.mine") is None
    async with one_state(lua, init="package.path = 'init/?.lua'") as pool:
        with pytest.raises(LuaError, match="no file 'init/wanted.lua'"):
            await pool.submit("require('wanted')")


@pytest.mark.parametrize("lua", ["luajit21", "luajit20", "lua51"])
async def test_environments_of_lua_51_are_those_of_a_task(lua: str) -> None:
    async with one_state(lua) as pool:
        await pool.submit("getfenv(0).by_zero = 1 getfenv(print).by_print = 1 getfenv().by_one = 1")
        assert await pool.submit("return by_zero, by_print, by_one") == (None, None, None)
        assert await pool.submit("mine = 1 return getfenv(0).mine, getfenv().mine") == (1, 1)
        with pytest.raises(LuaError, match="the globals of a task cannot be replaced"):
            await pool.submit("setfenv(0, {})")
        assert await pool.submit("return setfenv(function() return x end, {x = 1})()") == 1


@pytest.mark.parametrize("lua", _implementation.NAMES)
async def test_code_that_a_task_loads_has_its_globals(lua: str, tmp_path: Path) -> None:
    file = tmp_path / "file.lua"
    file.write_text("from_file = true return mine")
    chunk = """
        mine = 'mine'
        local file = ...
        assert((loadstring or load)('return mine')() == 'mine')
        assert(load(function() local s = code code = nil return s end) ~= nil)
        assert(loadfile(file)() == 'mine' and from_file)
        assert(dofile(file) == 'mine')
        if _VERSION ~= 'Lua 5.1' or jit then
          assert(load('return x', 'name', 't', {x = 'other'})() == 'other')
          assert(not pcall(load('return x.y', 'name', 't', nil)))
        end
        return true
    """
    async with one_state(lua) as pool:
        assert await pool.submit(chunk, str(file)) is True
        assert await pool.submit("return mine, from_file") == (None, None)
        if lua.startswith("luajit"):
            # An environment of nothing is none there.
            return
        if lua != "lua51":
            assert await pool.submit("return (load('return _ENV', 'n', 't', nil)())") is None


# ------------------------------------------------------------------------------- isolation = "none"


@pytest.mark.parametrize("lua", _implementation.NAMES)
async def test_without_isolation_tasks_of_a_state_share_everything(lua: str) -> None:
    async with one_state(lua, isolation="none", init="made = {}") as pool:
        await pool.submit("mine = 1 string.mine = 2 made.mine = 3 rawset(_G, 'raw', 4)")
        assert await pool.submit("return mine, string.mine, made.mine, raw") == (1, 2, 3, 4)
        assert await pool.submit("return _G.mine, package.loaded.string.mine") == (1, 2)
        await pool.submit("package.path = 'there/?.lua'")
        assert await pool.submit("return package.path") == "there/?.lua"


@asyncio_only
async def test_without_isolation_tasks_that_are_paused_share_globals(lua: str) -> None:
    go_on = asyncio.Event()
    async with one_state(lua, isolation="none", functions={"wait": go_on.wait}) as pool:
        waiting = pool.submit("host.wait() return mine")
        await until(lambda: pool.statistics().paused == 1)
        await pool.submit("mine = 'of another'")
        go_on.set()
        assert await waiting == "of another"
        assert [result async for result in pool.map("n = (n or 0) + 1 return n", [1, 2, 3])] == [
            1,
            2,
            3,
        ]


# ------------------------------------------------------------------------------ isolation = "state"


@pytest.mark.parametrize("lua", _implementation.NAMES)
async def test_with_a_state_for_each_task_nothing_is_shared(lua: str, tmp_path: Path) -> None:
    path = module(tmp_path, "counter", "return {n = 0}")
    init = NAME + " cache = {}"
    chunk = """
        local counter = require('counter')
        assert(mine == nil and string.mine == nil and #cache == 0 and counter.n == 0)
        mine, string.mine, cache[1], counter.n = 1, 1, 1, 1
        package.path = 'nowhere'
        return name
    """
    async with one_state(lua, isolation="state", package_path=path, init=init) as pool:
        await asyncio.gather(*(pool.submit(chunk) for _ in range(20)))
        await at_rest(pool)
        assert pool.statistics().states_made >= 20
        assert pool.statistics().states <= 1


@asyncio_only
async def test_a_task_that_pauses_keeps_its_state(lua: str) -> None:
    go_on = asyncio.Event()
    chunk = """
        assert(number == nil) number = ...
        local before = name
        coroutine.yield() host.wait()
        return number, name == before
    """
    async with ThreadPool(
        "test",
        threads=2,
        states=2,
        lua=lua,
        isolation="state",
        init=NAME,
        functions={"wait": go_on.wait},
    ) as pool:
        tasks = [pool.submit(chunk, number) for number in range(30)]
        await until(lambda: pool.statistics().paused == 30)
        assert await pool.submit("return number") is None
        go_on.set()
        async with asyncio.timeout(20):
            assert await asyncio.gather(*tasks) == [(number, True) for number in range(30)]
        await at_rest(pool)
        assert pool.statistics().states <= 2


@asyncio_only
async def test_states_of_tasks_bound_those_that_run(lua: str, gate: Callable[[], Gate]) -> None:
    async with ThreadPool("test", threads=4, states=2, lua=lua, isolation="state") as pool:
        gates = [gate(), gate()]
        running = [pool.submit(each.chunk) for each in gates]
        for each in gates:
            await each.entered()
        waiting = pool.submit("return 1")
        assert pool.statistics().states == 2
        for each in gates:
            each.open()
        assert await asyncio.gather(*running, waiting) == ["through", "through", 1]


@asyncio_only
async def test_coroutines_and_streams_have_a_state_each(lua: str) -> None:
    chunk = "assert(not mine) mine = name coroutine.yield(name) assert(mine == name) return name"
    async with ThreadPool(
        "test", threads=2, states=1, lua=lua, isolation="state", init=NAME
    ) as pool:
        coroutines = [pool.create(chunk) for _ in range(5)]
        names = [await coroutine.resume() for coroutine in coroutines]
        stream = pool.stream(chunk)
        names.append(await anext(stream))
        assert len(set(names)) == 6
        assert await pool.submit("return 1") == 1
        assert [await coroutine.resume() for coroutine in coroutines] == names[:5]
        assert [row async for row in stream] == []
        await at_rest(pool)
        assert pool.statistics().states <= 1


@asyncio_only
async def test_the_items_of_a_map_have_a_state_each(lua: str) -> None:
    chunk = (
        "assert(not mine and not string.mine and #cache == 0) mine, string.mine, cache[1] = 1, 1, 1"
    )
    async with ThreadPool("test", threads=2, lua=lua, isolation="state", init="cache = {}") as pool:
        assert [result async for result in pool.map(chunk + " return ...", range(200))] == list(
            range(200)
        )


# ------------------------------------------------------------------------------ max_tasks_per_state

COUNT = "count = {n = 0}"


@pytest.mark.parametrize("lua", _implementation.NAMES)
async def test_a_state_is_replaced_after_so_many_tasks(lua: str) -> None:
    async with one_state(lua, max_tasks_per_state=3, init=COUNT) as pool:
        counts = [await pool.submit("count.n = count.n + 1 return count.n") for _ in range(9)]
        assert counts == [1, 2, 3] * 3
        assert pool.statistics().states <= 1


@asyncio_only
async def test_tasks_that_fail_count_and_steps_do_not(lua: str) -> None:
    chunk = """
        count.n = count.n + 1
        coroutine.yield()
        host.wait()
        if ... then error('no') end
        return count.n
    """

    async def wait() -> None:
        await asyncio.sleep(0)

    async with one_state(lua, max_tasks_per_state=3, init=COUNT, functions={"wait": wait}) as pool:
        for _ in range(3):
            with pytest.raises(LuaError):
                await pool.submit(chunk, True)
            assert await pool.submit(chunk) == 2
            assert await pool.submit(chunk) == 3


@asyncio_only
async def test_tasks_that_are_paused_finish_before_their_state_goes(lua: str) -> None:
    go_on = asyncio.Event()
    async with one_state(
        lua, max_tasks_per_state=2, init=NAME + " shared = {}", functions={"wait": go_on.wait}
    ) as pool:
        paused = pool.submit("shared[1] = 1 local name = name host.wait() return name, shared")
        await until(lambda: pool.statistics().paused == 1)
        state = await pool.submit("shared[2] = 2 return name")
        others = [await pool.submit("shared[#shared + 1] = 3 return name") for _ in range(10)]
        assert state not in others[:2]
        assert pool.statistics().paused == 1
        go_on.set()
        assert await paused == (state, [1, 2])
        await at_rest(pool)
        assert pool.statistics().states <= 1


@asyncio_only
async def test_items_of_a_map_count(lua: str) -> None:
    """A batch is run to its end in one state."""
    async with one_state(lua, max_tasks_per_state=10, init=COUNT) as pool:
        results = [
            result async for result in pool.map("count.n = count.n + 1 return count.n", range(1000))
        ]
        assert len(results) == 1000
        assert max(results) < 1000
        await pool.submit("return 1")
        counts = [await pool.submit("count.n = count.n + 1 return count.n") for _ in range(20)]
        assert max(counts) <= 10


@asyncio_only
async def test_states_are_replaced_while_four_threads_are_busy(lua: str) -> None:
    async with (
        asyncio.timeout(30),
        ThreadPool("test", threads=4, lua=lua, max_tasks_per_state=7, init=COUNT) as pool,
    ):
        chunk = "count.n = count.n + 1 local n = count.n coroutine.yield() return n"
        counts = await asyncio.gather(*(pool.submit(chunk) for _ in range(1000)))
        assert set(counts) == set(range(1, 8))
        await at_rest(pool)
        assert pool.statistics().states <= 4


@asyncio_only
async def test_a_state_that_is_replaced_is_closed(lua: str, tmp_path: Path) -> None:
    """What its finalizers do tells."""
    trace = tmp_path / "trace"
    init = f"""
        local open = io.open
        local function note()
          local file = open({str(trace)!r}, 'a') file:write('closed\\n') file:close()
        end
        if newproxy then
          keeps = newproxy(true)
          getmetatable(keeps).__gc = note
        else
          keeps = setmetatable({{}}, {{__gc = note}})
        end
    """
    async with one_state(lua, max_tasks_per_state=1, init=init) as pool:
        for _ in range(3):
            await pool.submit("return 1")
        await until(lambda: trace.exists() and trace.read_text().count("closed") >= 2)
    assert trace.read_text().count("closed") >= 3


# ------------------------------------------------------------------------------------ the arguments


@pytest.mark.parametrize("isolation", ["tasks", "", None, 1])
def test_isolation_is_one_of_three(isolation: object) -> None:
    with pytest.raises(ValueError, match="^isolation must be one of task, state, none, not "):
        ThreadPool(isolation=isolation)  # type: ignore[arg-type]


@pytest.mark.parametrize("tasks", [0, -1])
def test_a_state_runs_at_least_one_task(tasks: int) -> None:
    with pytest.raises(ValueError, match=f"^max_tasks_per_state must be at least 1, not {tasks}"):
        ThreadPool(max_tasks_per_state=tasks)


@pytest.mark.parametrize("tasks", ["1", True, 1.5])
def test_the_number_of_tasks_is_a_whole_number(tasks: object) -> None:
    with pytest.raises(TypeError, match="^max_tasks_per_state must be "):
        ThreadPool(max_tasks_per_state=tasks)  # type: ignore[arg-type]
