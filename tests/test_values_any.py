"""Any value crosses, and anything else is refused with its path: tests of properties."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st

from threadpool_lua import MarshalError, ThreadPool

from .helpers import examples, same

LARGEST = {"luajit21": 2**53, "lua54": 2**63 - 1}
LEAST = {"luajit21": -(2**53), "lua54": -(2**63)}

pytestmark = [
    pytest.mark.parametrize("lua", ["luajit21", "lua54"]),
    pytest.mark.asyncio(loop_factories=["uvloop"]),
]

MARK = "\0 in place of what is forbidden"
POISON = """
    local value, mark, kind = ...
    local forbidden = kind == 'function' and print
      or kind == 'thread' and coroutine.create(function() end)
      or kind == 'userdata' and io.stdout
    local function poison(t)
      for key, item in pairs(t) do
        if item == mark then t[key] = forbidden
        elseif type(item) == 'table' and item ~= null then poison(item) end
      end
    end
    poison(value)
    return 'first', value
"""


def scalars(lua: str) -> st.SearchStrategy[Any]:
    floats = st.floats()
    if lua == "luajit21":
        # To a Lua that knows only doubles, a float with an integral value is an integer.
        floats = floats.filter(lambda x: not x.is_integer() or math.copysign(1, x) < 0 == x)
    return (
        st.none()
        | st.booleans()
        | st.integers(LEAST[lua], LARGEST[lua])
        | edges(lua)
        | floats
        | st.text()
    )


def edges(lua: str) -> st.SearchStrategy[int]:
    """Powers of two and their neighbours."""
    powers = [sign * 2**n + d for n in range(64) for sign in (1, -1) for d in (-1, 0, 1)]
    return st.sampled_from([n for n in powers if LEAST[lua] <= n <= LARGEST[lua]])


def keys(lua: str) -> st.SearchStrategy[Any]:
    # A dict with the keys 1..n is a list to Lua.
    integers = st.integers(LEAST[lua], LARGEST[lua]) | edges(lua)
    return st.text() | integers.filter(lambda key: not 0 < key < 100)


def containers(lua: str) -> Callable[[st.SearchStrategy[Any]], st.SearchStrategy[Any]]:
    return lambda inner: st.lists(inner) | st.dictionaries(keys(lua), inner)


async def test_it_comes_back_equal_and_of_the_same_type(lua: str) -> None:
    strategy = st.recursive(scalars(lua), containers(lua), max_leaves=30)
    async with ThreadPool("values", threads=1, lua=lua) as pool:
        for value in await asyncio.to_thread(examples, strategy, 200):
            back = await pool.submit("return ...", value)
            assert same(back, value), (value, back)


async def test_bytes_come_back_equal_where_strings_are_bytes(lua: str) -> None:
    strategy = st.recursive(
        st.binary() | st.none() | st.integers(-9, 9),
        lambda inner: st.lists(inner) | st.dictionaries(st.binary(), inner),
    )
    async with ThreadPool("values", threads=1, lua=lua, encoding=None) as pool:
        for value in await asyncio.to_thread(examples, strategy, 200):
            assert same(await pool.submit("return ...", value), value)


@st.composite
def forbidden(draw: st.DrawFn, lua: str) -> tuple[Any, list[Any]]:
    """A value with `MARK` in it somewhere, and the keys that lead there."""
    ordinary = st.recursive(scalars(lua), containers(lua), max_leaves=5)
    value: Any = MARK
    path: list[Any] = []
    for _ in range(draw(st.integers(1, 6))):
        if draw(st.booleans()):
            before, after = draw(st.lists(ordinary, max_size=3)), draw(st.lists(ordinary))
            path.insert(0, len(before))
            value = [*before, value, *after]
        else:
            key = draw(keys(lua).filter(lambda key: len(repr(key)) <= 60))
            others = draw(st.dictionaries(keys(lua), ordinary, max_size=3))
            others.pop(key, None)
            path.insert(0, key)
            value = {**others, key: value}
    return value, path


def replaced(value: Any, by: object) -> Any:
    if isinstance(value, list):
        return [replaced(item, by) for item in value]
    if isinstance(value, dict):
        return {key: replaced(item, by) for key, item in value.items()}
    return by if value == MARK else value


async def test_what_python_may_not_pass_is_refused_with_its_path(lua: str) -> None:
    kinds = [object(), {1}, print, 1j, ..., int, LARGEST[lua] + 1, "\ud800"]
    async with ThreadPool("values", threads=1, lua=lua) as pool:
        for i, (value, path) in enumerate(await asyncio.to_thread(examples, forbidden(lua), 150)):
            steps = "".join(f"[{step!r}]" for step in path)
            with pytest.raises(MarshalError) as caught:
                await pool.submit("return 1", None, replaced(value, kinds[i % len(kinds)]))
            assert str(caught.value).startswith(f"argument 2: {steps}: "), value
            assert await pool.submit("return ...", [1]) == [1]


async def test_what_lua_may_not_return_is_refused_with_its_path(lua: str) -> None:
    kinds = ["function", "thread", "userdata"]
    async with ThreadPool("values", threads=1, lua=lua) as pool:
        for i, (value, path) in enumerate(await asyncio.to_thread(examples, forbidden(lua), 150)):
            kind = kinds[i % len(kinds)]
            with pytest.raises(MarshalError) as caught:
                await pool.submit(POISON, value, MARK, kind)
            message = str(caught.value)
            assert message.startswith("result 2: ["), value
            assert message.endswith(f"]: cannot pass a {kind}"), value
            for step in path:
                if isinstance(step, str):
                    assert f"['{step}']" in message
            assert await pool.submit("return ...", [1]) == [1]
