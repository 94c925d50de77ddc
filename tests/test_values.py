"""What crosses between Python and Lua."""

from __future__ import annotations

import array
import asyncio
import ctypes
import enum
import math
import random
import struct
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from threadpool_lua import LuaError, MarshalError, ThreadPool

LARGEST = {"luajit21": 2**53, "lua54": 2**63 - 1}


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of the same types throughout, nan and -0.0 included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def values(integers: int) -> st.SearchStrategy[Any]:
    # A float with an integral value is an integer to a Lua that knows only doubles.
    scalars = (
        st.none()
        | st.booleans()
        | st.integers(-integers, integers)
        | st.floats().filter(lambda x: not x.is_integer() or math.copysign(1, x) < 0 == x)
        | st.text()
    )
    keys = st.text() | st.integers(-integers, integers).filter(lambda k: not 0 < k < 100)
    return st.recursive(
        scalars,
        # A dict with the keys 1..n is a list to Lua, and an empty one cannot be told from it.
        lambda inner: st.lists(inner) | st.dictionaries(keys, inner, min_size=0),
        max_leaves=30,
    )


class TestRoundTrip:
    @pytest.mark.parametrize("lua", ["luajit21", "lua54"])
    @pytest.mark.asyncio(loop_factories=["uvloop"])
    async def test_any_value_comes_back_equal_and_of_the_same_type(self, lua: str) -> None:
        async with ThreadPool("values", threads=1, lua=lua) as pool:
            sent: list[Any] = []

            @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
            @given(values(LARGEST[lua]))
            def collect(value: Any) -> None:
                sent.append(value)

            await asyncio.to_thread(collect)
            for value in sent:
                back = await pool.submit("return ...", value)
                assert same(back, value), (value, back)

    @pytest.mark.parametrize(
        "value",
        [
            [],
            {},
            [[], {}, [[]], {"a": []}],
            [None, 1, None],
            {"none": None, "nested": {"none": None}},
            -0.0,
            [-0.0, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 2.0**-1030],
            0,
            [0, 1, -1, 127, 128, -32, -33, 255, 256, 65535, 65536],
            [2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**32, 2**53 - 1, -(2**53)],
            "",
            ["", "x" * 31, "x" * 32, "x" * 255, "x" * 256, "x" * 65535, "x" * 65536],
            "nul \0 and ümlaut \U0001f40d",
            {"": "", "nul\0": "\0"},
            {0: "zero", -1: "minus one"},
            {True: "yes", False: "no"},
            {1.5: "a float key"},
            list(range(1000)),
            {f"key {i}": i for i in range(1000)},
        ],
        ids=lambda value: repr(value)[:40],
    )
    async def test_selected_values(self, pool: ThreadPool, value: Any) -> None:
        assert same(await pool.submit("return ...", value), value)
        assert same(await pool.submit("return ...", [value]), [value])

    async def test_integers_at_the_bounds_of_the_implementation(
        self, pool: ThreadPool, lua: str
    ) -> None:
        largest = LARGEST[lua]
        smallest = -largest if lua == "luajit21" else -largest - 1
        for value in (largest, smallest):
            assert await pool.submit("return ...", value) == value
            assert await pool.submit("return ...", [value]) == [value]
        for value in (largest + 1, smallest - 1, 10**30):
            for argument, path in (value, ""), ([value], "[0]: "), ({"n": value}, "['n']: "):
                with pytest.raises(MarshalError) as caught:
                    await pool.submit("return ...", argument)
                assert str(caught.value) == (
                    f"argument 1: {path}the integer {value} is beyond what this Lua holds exactly"
                )

    @pytest.mark.asyncio(loop_factories=["uvloop"])
    async def test_doubles_of_any_bits_survive_the_jit_compiler(self, pool: ThreadPool) -> None:
        """Many times over, so that the code that reads and writes them gets compiled."""
        chance = random.Random(3)
        for _ in range(1000):
            bits = struct.pack("64Q", *(chance.getrandbits(64) for _ in range(64)))
            sent = [False, *struct.unpack("64d", bits), 0.5, 0.25]
            back = await pool.submit("return ...", sent)
            assert all(
                one == other or (math.isnan(one) and math.isnan(other))
                for one, other in zip(back, sent, strict=True)
            )

    async def test_nan_stays_nan(self, pool: ThreadPool) -> None:
        assert math.isnan(await pool.submit("return ...", math.nan))
        assert math.isnan((await pool.submit("return ...", [math.nan]))[0])

    async def test_numbers_that_lua_computes(self, pool: ThreadPool) -> None:
        assert same(await pool.submit("return 2^53 - 1 + 0.5 > 0, 1 / 4"), (True, 0.25))
        assert math.copysign(1, await pool.submit("return -0.0")) == -1
        assert await pool.submit("return 1e300") == 1e300
        assert await pool.submit("return 2^63 * 2") == 2.0**64


class TestPythonToLua:
    async def test_bytes_of_all_kinds_are_strings(self, pool: ThreadPool) -> None:
        source = "local s, list = ... return #s, type(s), #list[1]"
        for value in (b"\xff\0\x80", bytearray(b"\xff\0\x80"), memoryview(b"\xff\0\x80")):
            assert await pool.submit(source, value, [value]) == (3, "string", 3)

    async def test_none_inside_a_table_is_null(self, pool: ThreadPool) -> None:
        source = "local list = ... return #list, list[2] == null, tostring(list[2]), list[4]"
        assert await pool.submit(source, [1, None, 3]) == (3, True, "null", None)

    async def test_null_cannot_be_changed(self, pool: ThreadPool) -> None:
        with pytest.raises(LuaError, match="null cannot be changed"):
            await pool.submit("null.x = 1")

    async def test_tuples_mappings_and_dataclasses(self, pool: ThreadPool) -> None:
        @dataclass
        class Point:
            x: int
            y: list[int]

        assert await pool.submit("return ...", (1, (2,))) == [1, [2]]
        assert await pool.submit("return ...", OrderedDict(a=1)) == {"a": 1}
        assert await pool.submit("return ...", [Point(1, [2])]) == [{"x": 1, "y": [2]}]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([object()], "argument 1: cannot pass a object"),
            ([1, {"users": [0, 1, 2, {3}]}], "argument 2: ['users'][3]: cannot pass a set"),
            ([{"f": print}], "argument 1: ['f']: cannot pass a builtin_function_or_method"),
            ([[1 + 2j]], "argument 1: [0]: cannot pass a complex"),
            ([[...]], "argument 1: [0]: cannot pass a ellipsis"),
            ([{(1, 2): 3}], "argument 1: cannot pass (1, 2) as a key"),
            ([{None: 3}], "argument 1: cannot pass None as a key"),
            ([{math.nan: 3}], "argument 1: cannot pass nan as a key"),
            ([{"a": 1, b"a": 2}], "argument 1: two keys become one in Lua: b'a'"),
            (["\ud800"], "argument 1: cannot encode the string: surrogates not allowed"),
            ([["\ud800"]], "argument 1: [0]: cannot encode the string: surrogates not allowed"),
            (
                [enum.Enum("Colour", "RED").RED],  # type: ignore[attr-defined]
                "argument 1: cannot pass a Colour",
            ),
        ],
    )
    async def test_what_cannot_cross_is_refused_with_its_path(
        self, pool: ThreadPool, arguments: list[Any], message: str
    ) -> None:
        with pytest.raises(MarshalError) as caught:
            await pool.submit("return 1", *arguments)
        assert str(caught.value) == message
        assert isinstance(caught.value, TypeError)
        assert await pool.submit("return ...", [1]) == [1]

    async def test_a_dataclass_field_has_a_path_of_its_own(self, pool: ThreadPool) -> None:
        @dataclass
        class Job:
            callback: Any

        with pytest.raises(
            MarshalError, match=r"argument 1: \['jobs'\]\[0\]\.callback: cannot pass"
        ):
            await pool.submit("return 1", {"jobs": [Job(print)]})

    async def test_a_graph_that_contains_itself_on_many_ways_is_refused_at_once(
        self, pool: ThreadPool
    ) -> None:
        parent: dict[str, Any] = {}
        parent["children"] = [{"parent": parent} for _ in range(3)]
        with pytest.raises(MarshalError) as caught:
            await pool.submit("return 1", parent)
        assert str(caught.value) == (
            "argument 1: ['children'][0]['parent']: cannot pass a dict that contains itself"
        )

    async def test_what_appears_many_times_crosses_once(self, pool: ThreadPool) -> None:
        value: Any = ["leaf"]
        for _ in range(60):
            value = [value, value]
        source = "local t, n = ..., 0 while type(t) == 'table' do t, n = t[1], n + 1 end return n"
        assert await pool.submit(source, value) == 61
        assert await pool.submit(source, [value, b"checked in Python"]) == 62
        twice = ["twice"]
        assert await pool.submit("return ...", [twice, twice]) == [twice, twice]

    async def test_a_mapping_may_make_its_values_up_on_the_fly(self, pool: ThreadPool) -> None:
        class Lazy(Mapping[str, Any]):
            def __len__(self) -> int:
                return 50

            def __iter__(self) -> Iterator[str]:
                return map(str, range(50))

            def __getitem__(self, key: str) -> Any:
                return (key, [key])

        expected = {str(i): [str(i), [str(i)]] for i in range(50)}
        assert await pool.submit("return ...", Lazy()) == expected

    async def test_the_memory_of_other_objects_does_not_pass_for_a_string(
        self, pool: ThreadPool
    ) -> None:
        for value in (ctypes.c_double(1.5), array.array("d", [1.5])):
            with pytest.raises(MarshalError, match=r"argument 1: \['x'\]: cannot pass a "):
                await pool.submit("return ...", {"x": value})

    async def test_depth_is_bounded(self, pool: ThreadPool) -> None:
        def nested(depth: int) -> list[Any]:
            value: list[Any] = []
            for _ in range(depth - 1):
                value = [value]
            return value

        assert await pool.submit("return ...", nested(100)) == nested(100)
        for depth in (101, 1000, 1_000_000):
            with pytest.raises(MarshalError, match="nested deeper than 100 levels"):
                await pool.submit("return ...", nested(depth))
        circle: list[Any] = []
        circle.append(circle)
        with pytest.raises(MarshalError, match=r"\[0\]: cannot pass a list that contains itself"):
            await pool.submit("return ...", circle)


class TestLuaToPython:
    @pytest.mark.parametrize(
        ("source", "value"),
        [
            ("return {1, 2, 3}", [1, 2, 3]),
            ("return {[1] = 1, [2] = 2}", [1, 2]),
            ("return {[2] = 2}", {2: 2}),
            ("return {1, nil, 3}", {1: 1, 3: 3}),
            ("return {1, x = 2}", {1: 1, "x": 2}),
            ("return {}", {}),
            ("return {null, {null}}", [None, [None]]),
            ("return {[true] = 1, [0.5] = 2}", {True: 1, 0.5: 2}),
            ("local t = {} return {t, t}", [{}, {}]),
        ],
    )
    async def test_tables(self, pool: ThreadPool, source: str, value: Any) -> None:
        assert same(await pool.submit(source), value)

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("return print", "result 1: cannot pass a function"),
            ("return 1, {users = {1, 2, print}}", "result 2: ['users'][3]: cannot pass a function"),
            ("return {x = coroutine.create(print)}", "result 1: ['x']: cannot pass a thread"),
            ("return {[true] = 1, 2}", "cannot pass both a boolean and its number as keys"),
            ("return io.stdout", "result 1: cannot pass a userdata"),
            ("return {[{}] = 1}", "cannot pass a table as a key"),
            ("local t = {} t.t = t return t", "['t']: cannot pass a table that contains itself"),
            (
                "local t = {} for _ = 1, 200 do t = {t} end return t",
                "cannot pass tables nested deeper than 100",
            ),
        ],
    )
    async def test_what_cannot_cross_is_refused_with_its_path(
        self, pool: ThreadPool, source: str, message: str
    ) -> None:
        for _ in range(2):
            with pytest.raises(MarshalError) as caught:
                await pool.submit(source)
            assert message in str(caught.value)
        assert await pool.submit("return {1}") == [1]

    async def test_metamethods_of_results_do_not_run(self, pool: ThreadPool) -> None:
        source = """
            local function fail() error('ran') end
            return setmetatable({1, 2}, {__index = fail, __len = fail, __pairs = fail,
              __eq = fail, __tostring = fail, __metatable = 'hidden'})
        """
        assert await pool.submit(source) == [1, 2]

    async def test_a_string_that_is_not_utf_8_names_the_byte_and_the_way_out(
        self, pool: ThreadPool
    ) -> None:
        with pytest.raises(MarshalError, match=r"byte 0xff at 3 is not valid UTF-8.*encoding=None"):
            await pool.submit(r"return 'ab\255'")
        with pytest.raises(MarshalError, match=r"byte 0xff at 3 is not valid UTF-8.*encoding=None"):
            await pool.submit(r"return {'ab\255'}")
        assert await pool.submit("return 'fine'") == "fine"

    async def test_with_encoding_none_strings_are_bytes(self, lua: str) -> None:
        async with ThreadPool("raw", threads=1, lua=lua, encoding=None) as pool:
            assert await pool.submit(r"return 'ab\255'") == b"ab\xff"
            assert await pool.submit("return {...}", "ü", b"\xff") == ["ü".encode(), b"\xff"]
            assert await pool.submit("return {x = 'y'}") == {b"x": b"y"}

    async def test_many_results_cost_no_more_each_than_few(self, pool: ThreadPool) -> None:
        source = "return (table.unpack or unpack)(..., 1, 7000)"
        assert await pool.submit(source, list(range(7000))) == tuple(range(7000))

    async def test_a_large_string_crosses_whole(self, pool: ThreadPool) -> None:
        text = "0123456789" * 1_000_000
        assert await pool.submit("return ...", text) == text
        assert await pool.submit("return {...}", text) == [text]
