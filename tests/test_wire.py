"""The bytes between Python and Lua: messages in slices, and messages that are damaged."""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from threadpool_lua import LuaError, MarshalError, ThreadPool, _implementation, _values
from threadpool_lua._ngx.worker import NgxWorker
from threadpool_lua._state import State, StateOptions

ROWS = """
    local rows = {}
    for i = 1, 20000 do rows[i] = {id = i, name = 'name ' .. i, tags = {i, 'even', i % 2 == 0}} end
"""


def row(i: int) -> dict[str, Any]:
    return {"id": i, "name": f"name {i}", "tags": [i, "even", i % 2 == 0]}


class TestSlices:
    """A message of some megabytes crosses in slices of 64 KB; nobody should be able to tell."""

    async def test_a_long_list(self, pool: ThreadPool) -> None:
        expected = [row(i) for i in range(1, 20001)]
        assert await pool.submit(ROWS + "return rows") == expected
        assert await pool.submit("return ...", expected) == expected

    async def test_a_large_dict(self, pool: ThreadPool) -> None:
        expected = {f"key {i}": [i] for i in range(50_000)}
        expected[""] = []
        assert await pool.submit("return ...", expected) == expected

    async def test_several_results_with_small_ones_between(self, pool: ThreadPool) -> None:
        large = [row(i) for i in range(1, 20001)]
        assert await pool.submit(ROWS + "return 1, rows, 'x', {rows, 2, {r = rows}}, nil") == (
            1,
            large,
            "x",
            [large, 2, {"r": large}],
            None,
        )

    async def test_many_results(self, pool: ThreadPool) -> None:
        words = [f"word {i}" for i in range(7000)] * 2
        source = "return (table.unpack or unpack)(..., 1, 7000)"
        assert await pool.submit(source, words) == tuple(words[:7000])

    async def test_large_strings_inside(self, pool: ThreadPool) -> None:
        value = ["x" * 1_000_000, {"y": "y" * 65536}, ["z" * 65535], "", {"k" * 100_000: 1}]
        assert await pool.submit("return ...", value) == value

    async def test_levels_that_are_large_and_small_in_turn(self, pool: ThreadPool) -> None:
        value: Any = "core"
        for i in range(30):
            value = [list(range(i * 700)), value, "w" * (i * 900)]
            value = {"inner": value, "more": {str(k): k for k in range(i * 100)}}
        assert await pool.submit("return ...", value) == value

    async def test_a_table_that_turns_out_to_be_no_list_late(self, pool: ThreadPool) -> None:
        result = await pool.submit(ROWS + "rows.last = 'no list' return {rows}")
        expected: dict[Any, Any] = {i: row(i) for i in range(1, 20001)}
        assert result == [{**expected, "last": "no list"}]

    async def test_a_list_that_was_filled_from_behind(self, pool: ThreadPool) -> None:
        source = "local t = {} for i = 50000, 1, -1 do t[i] = 'word ' .. i end return t"
        assert await pool.submit(source) == [f"word {i}" for i in range(1, 50_001)]

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            (
                "rows[17777].name = 'a\\255' return 0, {x = {rows}}",
                "result 2: ['x'][1][17777]['name']: byte 0xff at 2 is not valid UTF-8",
            ),
            (
                "rows[3].tags[2] = {{}, {['\\200'] = 1}} return rows",
                "result 1: [3]['tags'][2][2]: in a key: byte 0xc8 at 1 is not valid UTF-8",
            ),
            ("return rows, 'a\\255'", "result 2: byte 0xff at 2 is not valid UTF-8"),
            ("rows[9] = '\\254' return rows", "result 1: [9]: byte 0xfe at 1 is not valid UTF-8"),
            (
                "rows[17777].f = print return {rows}",
                "result 1: [1][17777]['f']: cannot pass a function",
            ),
        ],
    )
    async def test_errors_in_the_middle_name_the_path(
        self, pool: ThreadPool, source: str, message: str
    ) -> None:
        for _ in range(2):
            with pytest.raises(MarshalError) as caught:
                await pool.submit(ROWS + source)
            assert str(caught.value).startswith(message)
        assert await pool.submit("return {1}") == [1]

    async def test_a_large_error_value(self, pool: ThreadPool) -> None:
        with pytest.raises(LuaError) as caught:
            await pool.submit(ROWS + "error(rows)")
        assert caught.value.value == [row(i) for i in range(1, 20001)]

    @pytest.mark.asyncio(loop_factories=["uvloop"])
    async def test_a_result_without_end_is_refused(self) -> None:
        # On LuaJIT only, which writes the gigabyte in seconds.
        async with ThreadPool("dag", threads=1) as pool:
            with pytest.raises(MarshalError, match="result 1: larger than 1 GiB"):
                await pool.submit("local t = {} for _ = 1, 60 do t = {t, t} end return t")
            assert await pool.submit("return {1}") == [1]


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats()
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(-9, 999), inner),
    max_leaves=20,
)


@st.composite
def damaged(draw: st.DrawFn, message: st.SearchStrategy[bytes]) -> bytes:
    """Bytes of a message with some of them changed, taken out, put in, or cut off."""
    data = bytearray(draw(message))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        damage = draw(st.integers(0, 3))
        if damage == 0:
            data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
        elif damage == 1:
            data[at : at + draw(st.integers(1, 8))] = b""
        elif damage == 2:
            data[at:at] = draw(st.binary(min_size=1, max_size=8))
        else:
            # A size: the largest, the least, and what a careless sum would take for small.
            data[at : at + 4] = draw(
                st.sampled_from([2**31 - 1, 2**31, 2**32 - 1, 2**32 - 8, 2**24])
            ).to_bytes(4, "little")
    return bytes(data)


fuzz = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class TestDamage:
    """Damaged bytes are an error or another value, but never a crash, a hang or a huge table."""

    @pytest.fixture(params=["luajit21", "lua54", "lua51"])
    def state(self, request: pytest.FixtureRequest) -> Iterator[State]:
        implementation = _implementation.load(request.param)
        state = State(
            StateOptions(implementation, None, None, init=(), as_text=True, ngx=NgxWorker())
        )
        yield state
        state.close()

    @fuzz
    @given(
        damaged(values.map(lambda value: marshal.dumps(((value,), 0), 4))),
        st.booleans(),
    )
    def test_the_reader_in_lua(self, state: State, message: bytes, checked: bool) -> None:
        state.run("return 1", ())
        outcome = state._step_packed(state._slots["return 1"], message, checked)
        assert outcome == 1 or outcome[1]
        assert state.run("return ...", ([1, {"a": None}],)) == [1, {"a": None}]

    @fuzz
    @given(st.binary(max_size=200), st.booleans())
    def test_the_reader_in_lua_with_noise(
        self, state: State, message: bytes, checked: bool
    ) -> None:
        state.run("return 1", ())
        outcome = state._step_packed(state._slots["return 1"], message, checked)
        assert outcome == 1 or outcome[1]

    @fuzz
    @given(damaged(values.map(lambda value: msgspec.msgpack.encode([value]))))
    def test_the_reader_in_python(self, message: bytes) -> None:
        try:
            assert isinstance(_values.unpack(message), list)
        except MarshalError as error:
            assert str(error).startswith("result")
