"""Lua functions that go from one state to another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from threadpool_lua import Chunk, LuaError, MarshalError, _implementation
from threadpool_lua._ngx.worker import NgxWorker
from threadpool_lua._state import State, StateOptions


def new_state(name: str, package_path: bytes | None = None) -> State:
    options = StateOptions(
        _implementation.load(name), package_path, None, init=(), as_text=True, ngx=NgxWorker()
    )
    return State(options)


@pytest.fixture(params=_implementation.NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def home(name: str) -> Iterator[State]:
    """The state that functions come from."""
    state = new_state(name)
    yield state
    state.close()


@pytest.fixture
def away(name: str) -> Iterator[State]:
    """The state that functions go to."""
    state = new_state(name)
    yield state
    state.close()


def test_a_function_takes_arguments_and_returns_results(home: State, away: State) -> None:
    function = home.export("return function(a, b) return a + b, {a, b} end")
    assert away.run(function, (20, 22)) == (42, [20, 22])


def test_upvalues_come_along(home: State, away: State) -> None:
    function = home.export(
        r"""
        local flag, number, text, nothing, gap = true, 0.5, 'a\0\255', nil, null
        local options = {list = {1, 2, {3}}, empty = list {}, [7] = false}
        return function()
          return flag, number, #text, nothing, gap == null, options
        end
        """
    )
    options = {"list": [1, 2, [3]], "empty": [], 7: False}
    assert away.run(function, ()) == (True, 0.5, 3, None, True, options)


def test_functions_that_share_an_upvalue_go_on_sharing_it(
    home: State, away: State, name: str
) -> None:
    if name == "lua51":
        pytest.skip("Lua 5.1 cannot tell which upvalues are shared")
    function = home.export(
        """
        local n = 0
        local function add() n = n + 1 end
        return function() add() add() return n end
        """
    )
    assert away.run(function, ()) == 2


def test_each_task_gets_a_copy_of_its_own(home: State, away: State) -> None:
    function = home.export("local n = 0 return function() n = n + 1 return n end")
    assert [away.run(function, ()), away.run(function, ()), home.run(function, ())] == [1, 1, 1]


def test_a_function_can_call_itself(home: State, away: State) -> None:
    function = home.export(
        "local function fact(n) return n < 2 and 1 or n * fact(n - 1) end return fact"
    )
    assert away.run(function, (10,)) == 3628800


def test_functions_can_call_each_other(home: State, away: State) -> None:
    function = home.export(
        """
        local even, odd
        function even(n) if n == 0 then return true end return odd(n - 1) end
        function odd(n) if n == 0 then return false end return even(n - 1) end
        return even
        """
    )
    assert away.run(function, (10,)) is True


def test_tables_with_functions_cycles_and_metatables_come_along(home: State, away: State) -> None:
    function = home.export(
        """
        local Counter = {}
        Counter.__index = Counter
        function Counter.new(n) return setmetatable({n = n}, Counter) end
        function Counter:add(by) self.n = self.n + by return self end
        local counter = Counter.new(40)
        counter.itself = counter
        return function() return counter.itself:add(2).n, Counter.new(7):add(1).n end
        """
    )
    assert away.run(function, ()) == (42, 8)


def test_library_functions_are_found_again_by_name(home: State, away: State) -> None:
    function = home.export(
        """
        local format, insert, all, load = string.format, table.insert, math, loadstring or load
        return function(x)
          local t = {}
          insert(t, format('<%s>', x))
          insert(t, all.floor(2.5))
          insert(t, load('return 7')())
          return t, format == string.format, all == math
        end
        """
    )
    assert away.run(function, ("x",)) == (["<x>", 2, 7], True, True)
    assert away.run(home.export("return string.format"), ("%d!", 5)) == "5!"


def test_modules_are_required_again(name: str, tmp_path: Path) -> None:
    (tmp_path / "greeting.lua").write_text("return {hello = 'hello', made = {}}")
    home, away = (new_state(name, f"{tmp_path}/?.lua".encode()) for _ in range(2))
    function = home.export(
        "local greeting = require 'greeting' greeting.hello = 'changed' "
        "return function() return greeting.hello, greeting == require 'greeting' end"
    )
    assert away.run(function, ()) == ("hello", True)
    assert home.run(function, ()) == ("changed", True)
    elsewhere = new_state(name)
    with pytest.raises(LuaError, match="module 'greeting' not found"):
        elsewhere.run(function, ())
    for state in (home, away, elsewhere):
        state.close()


def test_globals_are_those_of_the_task_that_runs_it(home: State, away: State) -> None:
    function = home.export("x = 'home' return function() x = (x or 'nothing') .. '!' return x end")
    assert [away.run(function, ()), away.run(function, ())] == ["nothing!", "nothing!"]


def test_an_environment_of_its_own_comes_along(home: State, away: State) -> None:
    function = home.export(
        """
        local env = {x = 5}
        local source = 'return function() x = x + 1 return x end'
        return (setfenv and setfenv(loadstring(source), env) or load(source, 'c', 't', env))()
        """
    )
    assert away.run(function, ()) == 6


def test_errors_name_the_line_where_the_function_was_written(home: State, away: State) -> None:
    function = home.export(Chunk("return function(t)\n  return t.x.y\nend", name="far"))
    with pytest.raises(LuaError, match=r"^far:2: attempt to index") as caught:
        away.run(function, ({},))
    assert (caught.value.chunk, caught.value.line) == ("far", 2)
    assert "functions.lua" not in caught.value.traceback
    assert away.run(function, ({"x": {"y": 1}},)) == 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "local f = io.stdout return function() return f end",
            "result 1: upvalue 'f': cannot pass a userdata",
        ),
        (
            "local users = {{}, {file = io.stdout}} return function() return users end",
            "result 1: upvalue 'users'[2]['file']: cannot pass a userdata",
        ),
        (
            "local co = coroutine.create(function() end) local function f() return co end "
            "return function() return f end",
            "result 1: upvalue 'f' upvalue 'co': cannot pass a thread",
        ),
        (
            "local next_one = coroutine.wrap(function() end) return function() return next_one end",
            "result 1: upvalue 'next_one': cannot pass a C function that is in no library",
        ),
        (
            "local t = {} for _ = 1, 200 do t = {t} end return function() return t end",
            "nested deeper than 100 levels",
        ),
        (
            "local x = 7 local function g() return x end "
            "local id = debug.upvalueid and debug.upvalueid(g, 1) or io.stdout "
            "return function() return x, id end",
            "result 1: upvalue 'id': cannot pass a userdata",
        ),
        (
            "local t = {[setmetatable({}, {__tostring = error})] = io.stdout} "
            "return function() return t end",
            "result 1: upvalue 't'[a table]: cannot pass a userdata",
        ),
        ("return print, 5", "result 2: one function expected"),
        ("return ('x'):rep(300000)", "result 1: not a function"),
        ("return 5", "result 1: not a function"),
        ("return {}", "result 1: not a function"),
        ("return", "result 1: not a function"),
    ],
)
def test_what_cannot_cross_is_refused_by_name(home: State, source: str, message: str) -> None:
    with pytest.raises(MarshalError) as caught:
        home.export(source)
    assert message in str(caught.value)
    assert home.run("return {1}", ()) == [1]


def test_a_failed_export_leaves_the_state_as_it_was(home: State) -> None:
    with pytest.raises((LuaError, MarshalError)):
        home.export("return (unpack or table.unpack)({}, 1, 900000)")
    assert home.run("return {1}", ()) == [1]


def test_a_function_of_another_implementation_is_refused() -> None:
    home, away = new_state("luajit21"), new_state("lua54")
    function = home.export("return function() return 1 end")
    with pytest.raises(MarshalError, match="cannot pass a function of luajit21 to lua54"):
        away.run(function, ())
    assert away.run("return 1", ()) == 1
    home.close()
    away.close()


def test_a_large_function_crosses_in_slices(home: State, away: State) -> None:
    function = home.export(
        """
        local words = {}
        for i = 1, 20000 do words[i] = 'word ' .. i end
        return function() return words end
        """
    )
    assert away.run(function, ()) == [f"word {i}" for i in range(1, 20001)]
