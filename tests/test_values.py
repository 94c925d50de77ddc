"""What crosses between Python and Lua."""

from __future__ import annotations

import array
import ctypes
import enum
import math
import random
import struct
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from unittest.mock import MagicMock, Mock

import pytest

from threadpool_lua import LuaError, MarshalError, ThreadPool

from .helpers import same

LARGEST = {"luajit21": 2**53, "lua54": 2**63 - 1}


class TestRoundTrip:
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
        source = "local list = ... return #list, list[2] == null, list[2] == ngx.null, list[4]"
        assert await pool.submit(source, [1, None, 3]) == (3, True, True, None)

    async def test_null_is_no_table_to_read_or_write(self, pool: ThreadPool) -> None:
        for source in ("null.x = 1", "return null.x"):
            with pytest.raises(LuaError, match="attempt to index"):
                await pool.submit(source)

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
            ([object()], "argument 1: cannot pass an object"),
            ([1, {"users": [0, 1, 2, {3}]}], "argument 2: ['users'][3]: cannot pass a set"),
            ([{"f": print}], "argument 1: ['f']: cannot pass a builtin_function_or_method"),
            ([[1 + 2j]], "argument 1: [0]: cannot pass a complex"),
            ([[...]], "argument 1: [0]: cannot pass an ellipsis"),
            ([{(1, 2): 3}], "argument 1: cannot pass (1, 2) as a key"),
            ([{None: 3}], "argument 1: cannot pass None as a key"),
            ([{math.nan: 3}], "argument 1: cannot pass nan as a key"),
            ([{"a": 1, b"a": 2}], "argument 1: two keys become one in Lua: b'a'"),
            (["\ud800"], "argument 1: cannot encode the string: surrogates not allowed"),
            ([["\ud800"]], "argument 1: [0]: cannot encode the string: surrogates not allowed"),
            (
                [enum.Enum("Colour", "RED").RED],  # type: ignore[attr-defined]
                "argument 1: cannot pass a tests.test_values.Colour",
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

    async def test_bytes_cross_inside_lists_and_dicts(self, pool: ThreadPool) -> None:
        source = "local t = ... return #t.raw, #t.list[1], #t.list[2], #t.list[3]"
        buffer = bytearray(b"\xff\0")
        value = {"raw": b"\0" * 5, "list": [buffer, memoryview(b"12345")[::2], b"", {b"key": b"v"}]}
        assert await pool.submit(source, value) == (5, 2, 3, 0)

    async def test_subclasses_are_what_they_derive_from(self, pool: ThreadPool) -> None:
        class Colour(enum.StrEnum):
            RED = "red"

        class Level(enum.IntEnum):
            LOW = 1

        class Metres(float):
            pass

        class Pair(NamedTuple):
            left: int
            right: int

        value = {
            Colour.RED: [Colour.RED, Level.LOW, Metres(0.5), Pair(1, 2)],
            "more": Counter("aa"),
        }
        expected = {"red": ["red", 1, 0.5, [1, 2]], "more": {"a": 2}}
        assert same(await pool.submit("return ...", value), expected)
        assert same(
            await pool.submit("return ...", Colour.RED, Level.LOW, Metres(0.5)), ("red", 1, 0.5)
        )

    async def test_an_object_is_what_it_is_and_not_what_it_says(self, pool: ThreadPool) -> None:
        class Liar:
            __class__ = property(lambda self: 1 / 0)  # type: ignore[assignment]

        for value in (Mock(spec=str), MagicMock(spec=dict), MagicMock(spec=list), Liar()):
            for argument in (value, [value]):
                with pytest.raises(MarshalError, match="cannot pass an? .*(Mock|Liar)"):
                    await pool.submit("return 1", argument)

    async def test_what_a_subclass_overrides_does_not_count(self, pool: ThreadPool) -> None:
        class Text(str):
            def encode(self, *args: Any) -> bytes:
                return b"another"

            def __str__(self) -> str:
                return "another"

            def __ne__(self, other: object) -> bool:
                return True

            __hash__ = str.__hash__

        class Buffer(bytearray):
            def __bytes__(self) -> bytes:
                return b"another"

        value = {Text("key"): [Text("text"), Buffer(b"buffer")]}
        assert await pool.submit("return ...", value) == {"key": ["text", "buffer"]}
        with pytest.raises(MarshalError, match="cannot encode the string"):
            await pool.submit("return 1", Text("\ud800"))

    async def test_an_object_that_cannot_be_read_is_named(self, pool: ThreadPool) -> None:
        @dataclass
        class Unset:
            name: str = field(init=False)

        class Broken(dict[str, Any]):
            def items(self) -> Any:
                raise OSError("gone")

        for value, why in ((Unset(), "Attribute"), (Broken(), "OSError('gone')")):
            with pytest.raises(MarshalError) as caught:
                await pool.submit("return 1", [0, value])
            assert "argument 1: [1]" in str(caught.value)
            assert f": {why}" in str(caught.value)
            assert caught.value.__cause__ is not None

    async def test_a_key_of_any_size_can_be_refused(self, pool: ThreadPool) -> None:
        with pytest.raises(MarshalError, match="argument 1: cannot pass <tuple> as a key"):
            await pool.submit("return 1", {(10**5000,): 1})

    async def test_what_ends_a_process_is_refused(self, pool: ThreadPool) -> None:
        large = bytes(2**30 + 1)
        for argument in (large, [large]):
            with pytest.raises(MarshalError, match="arguments: larger than 1 GiB"):
                await pool.submit("return #...", argument)

    async def test_messages_stay_short(self, pool: ThreadPool) -> None:
        with pytest.raises(MarshalError) as caught:
            await pool.submit("return 1", {"k" * 1000: [{1}]})
        assert str(caught.value) == f"argument 1: ['{'k' * 59}...][0]: cannot pass a set"
        with pytest.raises(MarshalError) as caught:
            await pool.submit("return 1", 1 << 1000)
        assert str(caught.value) == (
            "argument 1: the integer of 1001 bits is beyond what this Lua holds exactly"
        )

    async def test_the_memory_of_other_objects_does_not_pass_for_a_string(
        self, pool: ThreadPool
    ) -> None:
        for value in (ctypes.c_double(1.5), array.array("d", [1.5])):
            with pytest.raises(MarshalError, match=r"argument 1: \['x'\]: cannot pass an? "):
                await pool.submit("return ...", {"x": value})

    async def test_depth_is_bounded(self, pool: ThreadPool) -> None:
        def nested(depth: int) -> list[Any]:
            value: list[Any] = []
            for _ in range(depth - 1):
                value = [value]
            return value

        assert await pool.submit("return ...", nested(100)) == nested(100)
        for depth in (101, 1000, 1_000_000):
            with pytest.raises(MarshalError) as caught:
                await pool.submit("return ...", nested(depth))
            assert str(caught.value) == (
                f"argument 1: {'[0]' * 20}...: nested deeper than 100 levels"
            )
        # A list that appears twice counts at the deeper place.
        shared = nested(60)
        deep: list[Any] = [shared, [[shared]]]
        assert await pool.submit("return ...", deep) == deep
        for _ in range(50):
            deep = [deep]
        for value in (deep, [deep, b"checked in Python"]):
            with pytest.raises(MarshalError, match="nested deeper than 100 levels"):
                await pool.submit("return 1", value)
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
            ("return list {}, list(), list {1, null}", ([], [], [1, None])),
            ("return {list {}, {}}", [[], {}]),
            ("local t = {} t[3] = 'c' t[2] = 'b' t[1] = 'a' return t", ["a", "b", "c"]),
            ("return {1, 2, nil, 4}", {1: 1, 2: 2, 4: 4}),
            ("return {[0] = 0, 1, 2}", {0: 0, 1: 1, 2: 2}),
            ("return {[-0.0] = 1}", {0: 1}),
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
                "local t = {} for _ = 1, 100 do t = {t} end return t",
                f"result 1: {'[1]' * 20}...: cannot pass tables nested deeper than 100",
            ),
            ("return {list {1, nil, 3}}", "result 1: [1][3]: not a key of a list"),
            ("return list {x = 1}", "result 1: ['x']: not a key of a list"),
            ("return list {1, 2, x = 3}", "result 1: ['x']: not a key of a list"),
            ("local t = list {} t.x = {} return {y = t}", "result 1: ['y']['x']: not a key of a"),
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

    @pytest.mark.timeout(20)
    async def test_tables_with_both_kinds_of_keys_nest(self, pool: ThreadPool) -> None:
        result = await pool.submit("local t = {} for _ = 1, 99 do t = {t, x = 1} end return t")
        for _ in range(99):
            assert result["x"] == 1
            result = result[1]
        assert result == {}

    @pytest.mark.parametrize(
        ("key", "shown"),
        [
            ("100000000000001", "[100000000000001]"),
            ("2^53 - 1", "[9007199254740991]"),
            ("0.1 + 0.2", "[0.30000000000000004]"),
            ("0.1", "[0.1]"),
            ("-1e300", "[-1e+300]"),
            ("true", "[true]"),
            ("'nul\\0'", "['nul\0']"),
            ("('x'):rep(1000)", f"['{'x' * 60}...']"),
        ],
    )
    async def test_a_path_shows_keys_exactly(self, pool: ThreadPool, key: str, shown: str) -> None:
        with pytest.raises(MarshalError) as caught:
            await pool.submit(f"return {{[{key}] = {{print}}}}")
        assert str(caught.value) == f"result 1: {shown}[1]: cannot pass a function"

    async def test_no_metamethod_words_a_refusal(self, pool: ThreadPool) -> None:
        odd = "setmetatable({}, {__tostring = function() error({}) end})"
        with pytest.raises(MarshalError) as caught:
            await pool.submit(f"local t = list {{}} t[{odd}] = 1 return t")
        assert str(caught.value).startswith("result 1: [a table]: not a key of a list")
        with pytest.raises(MarshalError, match=r"result 1: \[1\]\[1\]: cannot pass a function"):
            await pool.submit(
                "debug.setmetatable(0, {__tostring = function() error({}) end}) "
                "local ok = {{print}} return ok"
            )
        await pool.submit("debug.setmetatable(0, nil)")

    async def test_an_empty_list_from_python_is_marked_as_a_list(self, pool: ThreadPool) -> None:
        source = "local t = ... table.insert(t.list, 1) t.list[1] = nil return t"
        assert await pool.submit(source, {"list": []}) == {"list": []}
        with pytest.raises(MarshalError, match=r"\['list'\]\['x'\]: not a key of a list"):
            await pool.submit("local t = ... t.list.x = 1 return t", {"list": []})

    async def test_only_a_table_can_be_marked_as_a_list(self, pool: ThreadPool) -> None:
        with pytest.raises(LuaError, match="list expects a table, not a number"):
            await pool.submit("list(5)")

    async def test_integers_of_64_bits_of_the_ffi(self) -> None:
        async with ThreadPool("ffi", threads=1) as pool:
            source = "return 2^53, 9007199254740993LL, {-9223372036854775807LL - 1, 5ULL, -1LL}"
            expected = (2**53, 2**53 + 1, [-(2**63), 5, -1])
            assert same(await pool.submit(source), expected)
            assert await pool.submit("return 18446744073709551615ULL") == 2**64 - 1
            for source in ("return {x = ffi.new('int[2]')}", "return {x = ffi.cast('void *', 1)}"):
                with pytest.raises(MarshalError, match=r"result 1: \['x'\]: cannot pass a cdata"):
                    await pool.submit("local ffi = require 'ffi' " + source)

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
        for source, path in (
            (r"return {'ab\255'}", "result 1: [1]: "),
            (r"return 1, {x = {y = {0, 'ab\255'}}}", "result 2: ['x']['y'][2]: "),
            (r"return {{[true] = 'ab\255'}}", "result 1: [1][true]: "),
            (r"return {{['ab\255'] = 1}}", "result 1: [1]: in a key: "),
        ):
            with pytest.raises(MarshalError) as caught:
                await pool.submit(source)
            assert str(caught.value) == (
                f"{path}byte 0xff at 3 is not valid UTF-8; "
                "a pool with encoding=None returns Lua strings as bytes"
            )
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
