"""What code in a sandbox finds there, and what it does not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from threadpool_lua import LuaError, LuaSyntaxError, ThreadPool, _implementation

from .helpers import run_python, until
from .test_c_modules import CPATH, need

asyncio_only = pytest.mark.asyncio(loop_factories=["asyncio"])

NAMES = [name for name in _implementation.NAMES if name != "luajit20"]  # has no limit of memory


def sandbox(lua: str, **options: object) -> ThreadPool:
    """Return a sandbox of one thread and one state."""
    options = {"threads": 1, "states": 1, "sandbox": True, "time_limit": 10, **options}
    return ThreadPool("test", lua=lua, **options)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------- what is there

FUNCTIONS = (
    "assert collectgarbage error getmetatable ipairs list load next pairs pcall rawequal rawget"
    " rawset require select setmetatable tonumber tostring type xpcall"
)
FUNCTIONS_OF = {
    "luajit21": {"loadstring", "unpack"},
    "lua51": {"loadstring", "unpack"},
    "lua52": {"rawlen"},
    "lua53": {"rawlen"},
    "lua54": {"rawlen"},
    "lua55": {"rawlen"},
}
LIBRARIES = {"coroutine", "host", "math", "ngx", "os", "string", "table", "_G"}
LIBRARIES_OF = {
    "luajit21": {"bit"},
    "lua51": set(),
    "lua52": {"bit32"},
    "lua53": {"utf8"},
    "lua54": {"utf8"},
    "lua55": {"utf8"},
}

# The names of all that there is without a sandbox, by library.
ALL = """
    local names = {}
    for name, value in pairs(getmetatable and debug.getregistry()._LOADED or {}) do
      if type(value) == 'table' then
        names[name] = {}
        for key in pairs(value) do names[name][#names[name] + 1] = tostring(key) end
      end
    end
    return names
"""


async def names_without_a_sandbox(lua: str) -> dict[str, list[str]]:
    async with ThreadPool("free", threads=1, lua=lua) as pool:
        names: dict[str, list[str]] = await pool.submit(ALL)
    return names


@pytest.mark.parametrize("lua", NAMES)
async def test_the_globals_are_these_and_no_others(lua: str) -> None:
    everything = await names_without_a_sandbox(lua)
    candidates = {*everything["_G"], *everything, "loadstring", "unpack", "setfenv", "newproxy"}
    candidates |= {"list", "null", "ngx", "host", "python", "rawlen", "utf8", "bit", "bit32"}
    async with sandbox(lua) as pool:
        found = await pool.submit(
            """
            local found = {}
            for _, name in ipairs(...) do
              local kind = type(_G[name])
              if kind ~= 'nil' then found[name] = kind end
            end
            return found
            """,
            sorted(candidates),
        )
        functions = {name for name, kind in found.items() if kind == "function"}
        assert functions >= FUNCTIONS_OF[lua]
        assert " ".join(sorted(functions - FUNCTIONS_OF[lua])) == FUNCTIONS
        tables = {name for name, kind in found.items() if kind == "table"}
        assert tables - {"null"} == LIBRARIES | LIBRARIES_OF[lua]
        assert found.keys() - functions - tables <= {"_VERSION", "null"}
        assert await pool.submit("return _G == _G._G and _VERSION") is not False


@pytest.mark.parametrize("lua", NAMES)
async def test_the_libraries_are_whole_but_for_what_is_dangerous(lua: str) -> None:
    everything = await names_without_a_sandbox(lua)
    async with sandbox(lua) as pool:
        keys = "local t = {} for key in pairs(_G[...]) do t[#t + 1] = key end return list(t)"
        for library in "string", "table", "math", "coroutine", "utf8", "bit", "bit32":
            if library in everything:
                missing = {*everything[library]} - {*await pool.submit(keys, library)}
                assert missing == ({"dump"} if library == "string" else set())
        assert {*await pool.submit(keys, "os")} == {"clock", "date", "difftime", "time"}


@pytest.mark.parametrize("lua", NAMES)
async def test_ordinary_code_works(lua: str) -> None:
    chunk = """
        local seen = {}
        for word in ('the quick brown fox'):gmatch('%a+') do seen[#seen + 1] = word:upper() end
        table.sort(seen)
        assert(table.concat(seen, ' ') == 'BROWN FOX QUICK THE')
        local object = setmetatable({n = 1}, {__index = {get = function(self) return self.n end}})
        assert(object:get() == 1 and getmetatable(object).__index.get)
        local co = coroutine.wrap(function(...) return select('#', coroutine.yield(...)) end)
        assert(co(1) == 1 and co(1, 2, 3) == 3)
        assert(select(2, pcall(error, {code = 7})).code == 7)
        local function handler(why) return why .. '!' end
        assert(select(2, xpcall(function() error('x', 0) end, handler)) == 'x!')
        math.randomseed(42)
        local number = math.random(1, 6)
        assert(number >= 1 and number <= 6 and math.floor(1.5) == 1)
        assert(os.time() > 0 and os.clock() >= 0 and type(os.date()) == 'string')
        assert(collectgarbage('count') > 0)
        assert(null ~= nil and ngx.null == null)
        assert(string.format('%5.1f|%s|%q', 1.25, 'x', 'y') == '  1.2|x|"y"')
        function global_function() return 'global' end
        assert(global_function() == 'global' and _G.global_function)
        return list {tostring(1), tonumber('0x10'), #{1, 2, 3}, (('x'):rep(3))}
    """
    async with sandbox(lua) as pool:
        for _ in range(2):
            assert await pool.submit(chunk) == ["1", 16, 3, "xxx"]


@pytest.mark.parametrize("lua", NAMES)
async def test_of_ngx_there_is_what_leads_nowhere(lua: str) -> None:
    chunk = """
        local thread = ngx.thread.spawn(function() ngx.sleep(0) return ngx.md5_bin('x') end)
        local ok, digest = ngx.thread.wait(thread)
        local semaphore = require 'ngx.semaphore'.new(1)
        assert(ok and #digest == 16 and semaphore:wait(0))
        assert(ngx.decode_base64(ngx.encode_base64('x')) == 'x' and ngx.time() > 0)
        assert(ngx.unescape_uri(ngx.escape_uri('a b')) == 'a b' and ngx.HTTP_OK == 200)
        assert(require 'ngx' == ngx and ngx.get_phase() == 'timer')
        ngx.md5 = nil
        return ngx.re.match('the year 1815', '[0-9]+')[0]
    """
    async with sandbox(lua) as pool:
        for _ in range(2):
            assert await pool.submit(chunk) == "1815"
        for name in "config", "log", "run_worker_thread", "shared", "socket", "worker":
            with pytest.raises(LuaError, match=f"ngx.{name} is not available in a sandbox"):
                await pool.submit(f"return ngx.{name}")
        with pytest.raises(LuaError, match="not among those that this sandbox allows"):
            await pool.submit("require 'resty.threadpool'")
        with pytest.raises(LuaError, match="ngx.say is not available in a thread pool"):
            await pool.submit("ngx.say('x')")


@pytest.mark.parametrize("lua", NAMES)
async def test_of_collectgarbage_there_is_the_count(lua: str) -> None:
    async with sandbox(lua) as pool:
        assert await pool.submit("return (collectgarbage('count'))") > 0
        for what in "'collect'", "'stop'", "'setpause', 1", "":
            with pytest.raises(LuaError, match="is not available in a sandbox"):
                await pool.submit(f"collectgarbage({what})")


@pytest.mark.parametrize("lua", NAMES)
async def test_finalizers_are_refused(lua: str) -> None:
    async with sandbox(lua) as pool:
        with pytest.raises(LuaError, match="__gc is not available"):
            await pool.submit("setmetatable({}, {__gc = function() end})")


@asyncio_only
async def test_libraries_and_globals_are_those_of_a_task(lua: str) -> None:
    async with sandbox(lua) as pool:
        await pool.submit("string.mine, mine, string.rep, table.mine, os.time = 1, 1, nil, 1, nil")
        await pool.submit("for name in pairs(math) do math[name] = nil end pcall, next = nil, nil")
        assert await pool.submit(
            "return mine, string.mine, table.mine, string.rep('x', 2), ('x'):rep(3)"
        ) == (None, None, None, "xx", "xxx")
        assert await pool.submit("return os.time() > 0 and math.floor(1.5)") == 1


@asyncio_only
async def test_tasks_that_are_paused_see_each_their_own(lua: str) -> None:
    go_on = asyncio.Event()
    chunk = """
        mine, string.mine = ..., ...
        host.wait()
        assert(mine == ... and string.mine == ...)
        assert(load('return mine')() == ...)
        return mine
    """
    async with sandbox(lua, functions={"wait": go_on.wait}) as pool:
        tasks = [pool.submit(chunk, number) for number in range(20)]
        await until(lambda: pool.statistics().paused == 20)
        go_on.set()
        assert await asyncio.gather(*tasks) == list(range(20))


@asyncio_only
async def test_all_ways_to_run_a_task_are_there(lua: str) -> None:
    async with sandbox(lua, isolation="state") as pool:
        assert await pool.call("string", "rep", "ab", 3) == "ababab"
        assert [row async for row in pool.stream("for i = 1, 3 do coroutine.yield(i) end")] == [
            1,
            2,
            3,
        ]
        assert [result async for result in pool.map("return 2 * ...", range(100))] == list(
            range(0, 200, 2)
        )
        async with pool.create("return coroutine.yield(...)") as coroutine:
            assert await coroutine.resume(1) == 1
            assert await coroutine.resume(2) == 2
        with pytest.raises(LuaSyntaxError):
            await pool.submit("return (")


# ------------------------------------------------------------------------------- loading code


@pytest.mark.parametrize("lua", NAMES)
async def test_code_that_is_loaded_is_in_the_sandbox(lua: str) -> None:
    chunk = """
        mine = 'mine'
        assert(load('return mine, io, print')() == 'mine')
        assert(select(2, load('return mine, io, print')()) == nil)
        load('by_load = 1')()
        assert(by_load == 1 and _G.by_load == 1)
        assert((loadstring or load)('return mine')() == 'mine')
        local pieces, i = {'return ', 'mi', 'ne', nil}, 0
        assert(load(function() i = i + 1 return pieces[i] end, 'pieces')() == 'mine')
        local fn, why = load('return (', 'broken')
        assert(fn == nil and why:find('broken', 1, true))
        assert(load('return (...) + 1', 'name', 't')(1) == 2)
        assert(load('return (...) + 1', 'name', 'bt')(1) == 2)
        return true
    """
    async with sandbox(lua) as pool:
        assert await pool.submit(chunk) is True


@pytest.mark.parametrize("lua", NAMES)
async def test_code_is_loaded_with_globals_of_the_tasks_choice(lua: str) -> None:
    chunk = """
        local env = {x = 'of env'}
        local fn = load('y = 1 return x, string, _G', 'name', 't', env)
        local x, string_, globals = fn()
        assert(x == 'of env' and string_ == nil and globals == nil)
        assert(env.y == 1 and y == nil)
        return true
    """
    async with sandbox(lua) as pool:
        assert await pool.submit(chunk) is True


@pytest.mark.parametrize("lua", NAMES)
async def test_bytecode_is_not_loaded(lua: str) -> None:
    async with ThreadPool("free", threads=1, lua=lua, encoding=None) as free:
        bytecode = await free.submit("return string.dump((loadstring or load)('return 1'))")
        assert await free.submit("return (loadstring or load)(...)()", bytecode) == 1
    chunk = """
        local code = ...
        local function read() local piece = code code = nil return piece end
        for _, fn in ipairs {load, loadstring or load} do
          local loaded, why = fn((...))
          assert(loaded == nil and type(why) == 'string')
          loaded, why = fn((...), 'name', 'b')
          assert(loaded == nil and type(why) == 'string')
          loaded, why = fn((...), 'name', 'bt', {})
          assert(loaded == nil and type(why) == 'string')
        end
        local loaded, why = load(read)
        assert(loaded == nil and type(why) == 'string')
        assert(load('return 1', 'name', 'b') == nil)
        return true
    """
    async with sandbox(lua) as pool:
        assert await pool.submit(chunk, bytecode) is True


# ------------------------------------------------------------------------------- modules


def write(tmp_path: Path, **modules: str) -> str:
    for name, text in modules.items():
        path = tmp_path / (name.replace("__", "/") + ".lua")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return f"{tmp_path}/?.lua"


@pytest.mark.parametrize("lua", NAMES)
async def test_a_module_is_loaded_anew_for_each_task(lua: str, tmp_path: Path) -> None:
    path = write(
        tmp_path,
        counter="local M = {n = 0} function M.add() M.n = M.n + 1 return M.n end return M",
    )
    chunk = """
        local counter = require('counter')
        assert(require('counter') == counter and counter.n == 0)
        counter.add()
        counter.mine = 1
        return counter.add(), require('counter').mine
    """
    async with sandbox(lua, package_path=path, modules=["counter"]) as pool:
        for _ in range(3):
            assert await pool.submit(chunk) == (2, 1)
        assert await pool.call("counter", "add") == 1
        assert await pool.call("counter", "add") == 1


@pytest.mark.parametrize("lua", NAMES)
async def test_a_module_is_in_the_sandbox_too(lua: str, tmp_path: Path) -> None:
    path = write(
        tmp_path,
        looks="return {io = io, debug = debug, package = package, print = print, os = os.execute,"
        " ffi = ffi, jit = jit, loadfile = loadfile, dofile = dofile, dump = string.dump,"
        " required = pcall(require, 'io'), name = ..., own = _G == _G._G and set_by_task}",
        sets="set_by_module = 'here' string.changed = 1",
    )
    async with sandbox(lua, package_path=path, modules=["looks", "sets"]) as pool:
        assert await pool.submit("set_by_task = 'by task' return require('looks')") == {
            "required": False,
            "name": "looks",
            "own": "by task",
        }
        assert await pool.submit("return require('sets'), set_by_module, string.changed") == (
            True,
            "here",
            1,
        )
        assert await pool.submit("return set_by_module, string.changed") == (None, None)


@pytest.mark.parametrize("lua", NAMES)
async def test_modules_require_those_that_are_allowed(lua: str, tmp_path: Path) -> None:
    path = write(
        tmp_path,
        outer="local inner = require('folder.inner') return {inner = inner}",
        folder__inner="#!/usr/bin/lua\nreturn {line = 2, name = ...}",
        other="return require('secret')",
        secret="return 'secret'",
    )
    modules = ["outer", "folder.inner", "other"]
    async with sandbox(lua, package_path=path, modules=modules) as pool:
        assert await pool.submit(
            "return require('outer'), require('outer').inner == require('folder.inner')"
        ) == ({"inner": {"line": 2, "name": "folder.inner"}}, True)
        for chunk in "require('secret')", "require('other')":
            with pytest.raises(
                LuaError, match="module 'secret' is not among those that this sandbox allows"
            ):
                await pool.submit(chunk)
        with pytest.raises(LuaError, match="module 'io' is not among those"):
            await pool.submit("require('io')")
        with pytest.raises(LuaError, match="module 'nowhere' is not among those"):
            await pool.call("nowhere", "function")
        assert await pool.submit("return require('string') == string and require('_G') == _G")


@pytest.mark.parametrize("lua", NAMES)
async def test_what_is_wrong_with_a_module_is_told(lua: str, tmp_path: Path) -> None:
    path = write(
        tmp_path,
        broken="return (",
        fails="local x\nerror('no luck')",
        nothing="",
        no="return false",
    )
    modules = ["broken", "fails", "nothing", "no", "missing"]
    async with sandbox(lua, package_path=path, modules=modules) as pool:
        for _ in range(2):
            with pytest.raises(LuaError, match="error loading module 'broken'.*broken.lua:1:"):
                await pool.submit("require('broken')")
            with pytest.raises(LuaError, match="fails.lua:2: no luck") as caught:
                await pool.submit("require('fails')")
            assert caught.value.line == 2
            with pytest.raises(LuaError, match="module 'missing' not found"):
                await pool.submit("require('missing')")
        assert await pool.submit("return require('nothing'), require('no')") == (True, False)


@pytest.mark.parametrize("lua", NAMES)
def test_a_module_that_requires_itself_is_an_error(lua: str, tmp_path: Path) -> None:
    """In a process of its own, which ends though a thread may be stuck for long."""
    path = write(tmp_path, circle="return require('round')", round="return require('circle')")
    done = run_python(
        f"""
        import asyncio, os
        from threadpool_lua import LuaError, ThreadPool

        async def main():
            async with ThreadPool(
                "test", threads=1, lua={lua!r}, sandbox=True, time_limit=2,
                package_path={path!r}, modules=["circle", "round"],
            ) as pool:
                for _ in range(2):
                    try:
                        await pool.submit("require('circle')")
                    except LuaError as error:
                        print(type(error).__name__, flush=True)
                print(await pool.submit("return 1"), flush=True)
                os._exit(0)

        asyncio.run(main())
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "LuaError\nLuaError\n1\n", "")


@pytest.mark.parametrize("lua", NAMES)
async def test_a_task_that_is_paused_in_a_module_has_it_to_itself(lua: str, tmp_path: Path) -> None:
    path = write(
        tmp_path, waits="n = ... local M = {n = 0} function M.add(x) M.n = M.n + x end return M"
    )
    go_on = asyncio.Event()
    chunk = """
        local waits = require('waits')
        waits.add(...)
        host.wait()
        waits.add(...)
        return require('waits').n
    """
    async with sandbox(
        lua, package_path=path, modules=["waits"], functions={"wait": go_on.wait}
    ) as pool:
        tasks = [pool.submit(chunk, number) for number in range(10)]
        await until(lambda: pool.statistics().paused == 10)
        go_on.set()
        assert await asyncio.gather(*tasks) == [2 * number for number in range(10)]


@pytest.mark.parametrize("lua", NAMES)
async def test_modules_that_init_provides_are_copied(lua: str) -> None:
    init = """
        local source = io and 'with files'
        package.preload.made = function() return {source = source, open = io.open ~= nil} end
        package.preload.text = function() return 'text' end
        package.preload.hidden = function() return {} end
    """
    async with sandbox(lua, init=init, modules=["made", "text"]) as pool:
        for _ in range(2):
            assert await pool.submit(
                "local made = require('made') made.mine = 1 "
                "assert(require('made') == made) return made"
            ) == {"source": "with files", "open": True, "mine": 1}
        assert await pool.submit("return require('made').mine, require('text')") == (None, "text")
        with pytest.raises(LuaError, match="module 'hidden' is not among those"):
            await pool.submit("require('hidden')")


@asyncio_only
async def test_modules_that_init_has_loaded_are_loaded_anew_too(lua: str, tmp_path: Path) -> None:
    path = write(tmp_path, counter="return {n = 0}")
    init = "local counter = require('counter') counter.n = 10"
    async with sandbox(lua, package_path=path, init=init, modules=["counter"]) as pool:
        for _ in range(2):
            assert await pool.submit(
                "local c = require('counter') c.n = c.n + 1 return c.n"
            ) == await pool.submit("local c = require('counter') c.n = c.n + 1 return c.n")


@asyncio_only
async def test_c_modules_are_copied() -> None:
    need("cjson", "lua-cjson")
    async with sandbox("luajit21", package_cpath=CPATH, modules=["cjson"]) as pool:
        for _ in range(2):
            assert (
                await pool.submit(
                    "local cjson = require('cjson') assert(not cjson.mine) cjson.mine = 1 "
                    "cjson.decode = nil return cjson.encode({1, 2})"
                )
                == "[1,2]"
            )
        assert await pool.call("cjson", "decode", '{"a":[1,null]}') == {"a": [1, None]}
        with pytest.raises(LuaError, match="module 'lpeg' is not among those"):
            await pool.submit("require('lpeg')")


# ------------------------------------------------------------------------------- init and functions


@pytest.mark.parametrize("lua", NAMES)
async def test_what_init_adds_is_there(lua: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("from a file")
    init = f"""
        config = {{limit = 10, names = {{'a'}}}}
        number, text, flag = 1, 'text', false
        function read() return io.open({str(file)!r}):read('*a') end
        function print(...) return 'printed' end
        function tostring(x) return 'mine' end
        function string.shout(s) return s .. '!' end
    """
    async with sandbox(lua, init=init) as pool:
        for _ in range(2):
            assert await pool.submit("return config.limit, number, text, flag, read()") == (
                10,
                1,
                "text",
                False,
                "from a file",
            )
            assert await pool.submit("return tostring(1), ('x'):shout(), string.shout('y')") == (
                "mine",
                "x!",
                "y!",
            )
            # What a task does to the tables is done to copies.
            assert await pool.submit(
                "config.limit = 11 number = 2 read = nil string.shout = nil "
                "return config.limit, number"
            ) == (11, 2)
        assert await pool.submit("return io, config.names") == (None, ["a"])


@asyncio_only
async def test_host_functions_work_and_cannot_be_replaced(lua: str) -> None:
    async def later(value: Any) -> Any:
        await asyncio.sleep(0)
        return value

    def fail() -> None:
        raise KeyError("lost")

    functions = {"later": later, "twice": lambda x: 2 * x, "fail": fail}
    async with sandbox(lua, functions=functions) as pool:
        assert await pool.submit("return host.later(host.twice(21)), host.later({1, {2}})") == (
            42,
            [1, [2]],
        )
        assert await pool.submit(
            "local ok, e = pcall(host.fail) return ok, e.type, tostring(e)"
        ) == (False, "KeyError", "KeyError: 'lost'")
        with pytest.raises(KeyError, match="lost"):
            await pool.submit("host.fail()")
        with pytest.raises(LuaError, match="cannot set host.twice"):
            await pool.submit("host.twice = print")
        await pool.submit("rawset(host, 'twice', 1) host = nil")
        assert await pool.submit("return host.twice(2)") == 4

        @pool.function
        def added(x: int) -> int:
            return x + 1

        assert await pool.submit("return host.added(1)") == 2


# ------------------------------------------------------------------------------- the arguments


def test_modules_are_those_of_a_sandbox() -> None:
    with pytest.raises(ValueError, match="modules are those that a sandbox allows"):
        ThreadPool(modules=["json"])
    ThreadPool(modules=())


@pytest.mark.parametrize("modules", ["json", b"json", [1], ["json", None], 1])
def test_modules_are_names(modules: object) -> None:
    with pytest.raises(TypeError):
        ThreadPool(sandbox=True, modules=modules)  # type: ignore[arg-type]


@asyncio_only
async def test_modules_may_come_from_a_generator(lua: str) -> None:
    names = (name for name in ["made"])
    init = "package.preload.made = function() return {} end"
    async with sandbox(lua, init=init, modules=names) as pool:
        assert await pool.submit("return type(require('made'))") == "table"


def test_a_sandbox_isolates_tasks() -> None:
    with pytest.raises(ValueError, match="a sandbox isolates tasks: isolation cannot be 'none'"):
        ThreadPool(sandbox=True, isolation="none")
    with pytest.raises(TypeError, match="^sandbox must be bool, not int"):
        ThreadPool(sandbox=1)  # type: ignore[arg-type]
