"""Lua's pattern matching in Lua: the results and errors of C's functions, but interruptible."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from threadpool_lua._implementation import NAMES
from threadpool_lua.lua import source

HELPER = Path(__file__).with_name("patterns.lua").read_bytes()

# Steps that C may do at a time: none, so that all is matched in Lua; those at one place of a
# short subject; and as many as usual.
BUDGETS = [0, 100, None]


def load(lua: str, budget: int | None = None, spend: Callable[[float], Any] | None = None) -> Any:
    """
    Return what tests/patterns.lua offers, in a runtime of its own.

    What `spend` returns, if anything, is raised in Lua.
    """
    runtime = importlib.import_module(f"lupa.{lua}").LuaRuntime(
        encoding=None, unpack_returned_tuples=True
    )
    return runtime.execute(HELPER, source("patterns.lua"), spend, budget)


loaded = functools.cache(load)


def assert_same(lua: str, budget: int | None, name: bytes, *args: Any) -> None:
    native, ours = loaded(lua, budget)[b"compare"](name, *args)
    if native.endswith(b"invalid replacement value (a table)"):
        # C itself raises this, and `enter` is its caller.
        native, ours = (text.rpartition(b": ")[2] for text in (native, ours))
    assert ours == native, (lua, budget, name, args)


ATOMS = [
    *[b"a", b"b", b"x", b".", b"%a", b"%s", b"%d", b"%S", b"%g", b"%z", b"%.", b"%(", b"%%"],
    *[b"[ab]", b"[^a]", b"[a-c]", b"[%s]", b"[%a-z]", b"[]a]", b"[^]]", b"[\0a]", b"[a-]"],
    *[b"\0", b"^", b"$", b"]", b"-", b"\xff"],
]
OTHERS = [
    *[b"(", b")", b"()", b"(a)", b"(.-)", b"$", b"%1", b"%2"],
    *[b"%b()", b"%bab", b"%baa", b"%f[a]", b"%f[%a]", b"%f[^a]", b"%f[%z]"],
]
MALFORMED = [
    *[b"%", b"[", b"[^", b"[]", b"[^]", b"[a", b"[a-", b"[%", b"[%]", b"%b", b"%b(", b"%f"],
    *[b"%fa", b"%0", b"%9", b"(a%1)", b")", b"a)", b"(", b"(a", b"()" * 33],
]

items = st.builds(
    bytes.__add__, st.sampled_from(ATOMS), st.sampled_from([b"", b"", b"*", b"+", b"-", b"?"])
) | st.sampled_from(OTHERS)
patterns = st.builds(
    lambda anchor, parts, end: anchor + b"".join(parts) + end,
    st.sampled_from([b"", b"", b"", b"^"]),
    st.lists(items, max_size=7),
    st.sampled_from([b""] * 8 + MALFORMED),
)
subjects = st.lists(
    st.sampled_from([bytes([c]) for c in b"aaabbcx ().1]^-$\0\xff"]), max_size=12
).map(b"".join)
texts = subjects | st.sampled_from([12, -1.5, 2**53])
positions = st.none() | st.integers(-14, 14) | st.sampled_from([2.0, 1.5, b"2", b"x", 1e15])
replacements = st.sampled_from(
    [
        *[b"", b"x", b"<%0>", b"%1", b"%2-%1", b"%%", b"%", b"%x", b"a%9", 7, 1.5, None, True],
        *[b"keeps", b"counts", b"varies", b"fails", b"fields", b"index", b"wrong"],
    ]
)


class TestSameAsInC:
    """C's functions are the measure, of each implementation its own."""

    @settings(max_examples=400, deadline=None)
    @given(
        st.sampled_from([b"find", b"match", b"gmatch"]), texts, patterns, positions, st.booleans()
    )
    def test_searches(
        self, name: bytes, subject: Any, pattern: bytes, init: Any, plain: bool
    ) -> None:
        for lua in NAMES:
            for budget in BUDGETS:
                assert_same(lua, budget, name, subject, pattern)
                assert_same(lua, budget, name, subject, pattern, init, plain)

    @settings(max_examples=400, deadline=None)
    @given(texts, patterns, replacements, positions)
    def test_replacements(self, subject: Any, pattern: bytes, by: Any, limit: Any) -> None:
        for lua in NAMES:
            for budget in BUDGETS:
                assert_same(lua, budget, b"gsub", subject, pattern, by, limit)

    @pytest.mark.parametrize("lua", NAMES)
    def test_edges(self, lua: str) -> None:
        for subject in (b"", b"a", b"\0", b"a\0a", b"aXbX", b"^a^a", b"a$b", b"((a)", b"ab ab"):
            for pattern in [
                *[b"", b"^", b"$", b"^$", b"^^", b"$$", b"^a", b"a*", b"^a*", b"a-", b".-", b".-$"],
                *[b"%f[%z]", b"%f[%a]", b"%f[^%z]", b"%f[%z]$", b"%z", b"a\0b", b"\0", b"[\0]"],
                *[b"%b()", b"%b((", b"%b\0\0", b"(a)%1", b"()%1", b"(a*)%1", b"()", b"()a()"],
                *[b"(%w+) %1", b"X", b"%%", b"[]]", b"[^]a]", b"[a-]", b"[a-%z]", b"[%a-z]"],
            ]:
                for budget in BUDGETS:
                    for name in (b"find", b"match", b"gmatch"):
                        assert_same(lua, budget, name, subject, pattern)
                        assert_same(lua, budget, name, subject, pattern, 2)
                    for by in (b"<%0>", b"counts"):
                        assert_same(lua, budget, b"gsub", subject, pattern, by)
                        assert_same(lua, budget, b"gsub", subject, pattern, by, 1)

    @pytest.mark.parametrize("lua", NAMES)
    def test_malformed_patterns(self, lua: str) -> None:
        for pattern in MALFORMED:
            for subject in (b"", b"a", b"ba"):
                for budget in BUDGETS:
                    for name in (b"find", b"match", b"gmatch"):
                        assert_same(lua, budget, name, subject, pattern)
                        assert_same(lua, budget, name, subject, b"b" + pattern)
                    for by in (b"x", b"%1", b"fields", b"counts"):
                        assert_same(lua, budget, b"gsub", subject, pattern, by)

    @pytest.mark.parametrize("lua", NAMES)
    def test_arguments(self, lua: str) -> None:
        for budget in BUDGETS:
            for name in (b"find", b"match", b"gmatch", b"gsub"):
                for args in [
                    *[(), (b"a",), (None, b"a"), (b"a", None), (True, True), (1, 1), (b"1", 1)],
                    *[(b"a", b"a", b"x"), (b"a", b"a", {}), (b"a", b"a", float("inf"))],
                    *[(b"a", b"a", b"b", b"x"), (b"a", b"a", b"b", 1.5), (b"a", b"a", b"b", -1)],
                ]:
                    assert_same(lua, budget, name, *args)

    @pytest.mark.parametrize("lua", [name for name in NAMES if name != "lua51"])  # knows no bound
    @pytest.mark.parametrize("item", [b"a?", b"a*", b"a-", b"b*", b"(a)", b"()", b"%f[a]a*"])
    def test_how_deep_patterns_nest(self, lua: str, item: bytes) -> None:
        for count in (15, 31, 99, 198, 199, 200, 201, 300):
            for subject in (b"", b"a" * 250):
                for budget in BUDGETS:
                    assert_same(lua, budget, b"match", subject, item * count)

    @pytest.mark.parametrize("lua", NAMES)
    def test_items_of_many_bytes(self, lua: str) -> None:
        many = b"[" + b"bc" * 2000 + b"]"
        for budget in BUDGETS:
            for pattern in (many, many + b"*c", b"(" + many + b"+)" + many, b"a-" + many + b"a"):
                assert_same(lua, budget, b"find", b"aabcbca", pattern)

    @pytest.mark.parametrize("lua", NAMES)
    def test_long_plain_text(self, lua: str) -> None:
        haystack = b"a" * 9000 + b"b" + b"a" * 3000
        for budget in (0, 5000, None):
            for needle in (b"a" * 2000 + b"b", b"a" * 9000 + b"ba", b"b" + b"a" * 3001, b"ab", b""):
                for init in (1, 7001, 7003, -1, 20000):
                    assert_same(lua, budget, b"find", haystack, needle, init, True)
                    assert_same(lua, budget, b"find", haystack, needle, init)


@pytest.mark.parametrize("lua", NAMES)
class TestErrors:
    """They are raised as if the caller had called C's function."""

    def error(self, lua: str, code: str) -> str:
        code = f"local string = ... return select(2, pcall(function()\n{code}\nend))"
        error: bytes = loaded(lua)[b"execute"](code.encode())
        return error.decode()

    def test_the_place_is_the_callers(self, lua: str) -> None:
        for code, message in [
            ("local r = string.find('a', '[a')", "malformed pattern (missing ']')"),
            ("local r = string.gsub('a', '(a', '%1')", "unfinished capture"),
            ("for _ in string.gmatch('a', '(a') do end", "unfinished capture"),
            ("string.gsub('a', 'a', {a = {}})", "invalid replacement value (a table)"),
            ("local r = string.match()", "#1 to 'match' (string expected, got no value)"),
        ]:
            error = self.error(lua, code)
            assert error.startswith('[string "local string'), error
            assert ":2: " in error
            assert error.endswith(message)

    def test_names_of_functions(self, lua: str) -> None:
        for code, message in [
            ("string.find('a', nil)", "bad argument #2 to 'find' (string expected, got nil)"),
            ("local f = string.gsub f({})", "bad argument #1 to 'f' (string expected, got table)"),
            ("string:match()", "calling 'match' on bad self (string expected, got table)"),
            ("local s = {find = string.find} s:find('a')", "calling 'find' on bad self"),
        ]:
            assert message in self.error(lua, code)


@pytest.mark.parametrize("lua", NAMES)
class TestCost:
    """What takes long is interruptible, and what C does is paid for before."""

    LONG = b"a" * 100_000

    @pytest.mark.parametrize(
        ("name", "args"),
        [
            (b"find", (LONG, b".-.-.-b")),
            (b"match", (LONG, b"a*a*a*b")),
            (b"match", (LONG, b"a?" * 150 + b"a" * 150 + b"b")),
            (b"find", (LONG, b"(a*)(a-)%1%2b")),
            (b"find", (LONG, b"(a?)" + b"a-%1" * 4 + b"b")),
            (b"gmatch", (LONG, b".-a-.-b")),
            (b"gsub", (LONG, b"a-a-(a-)b", b"%1")),
        ],
    )
    def test_a_hook_ends_what_would_take_for_ever(
        self, lua: str, name: bytes, args: tuple[Any, ...]
    ) -> None:
        assert loaded(lua)[b"interrupt"](name, *args) == (False, b"interrupted")

    @pytest.mark.parametrize(
        ("name", "args"),
        [
            (b"find", (LONG, b"a*b")),
            (b"match", (LONG, b"(a-)c*b")),
            (b"find", (LONG, b"a" * 9999 + b"b")),
            (b"find", (LONG, b"a" * 9999 + b"b", 1, True)),
            (b"find", (LONG, b"%a+b", b"1")),
            (b"gmatch", (LONG, b"%a+b")),
            (b"gsub", (LONG, b"%a+b", b"counts")),
            (b"gsub", (LONG, b"%s*b", b"fields")),
            (b"gsub", (LONG, b"a", b"%0" * 50)),
            (b"gsub", (LONG, b"%s", b"")),
        ],
    )
    def test_what_c_does_is_paid_for(self, lua: str, name: bytes, args: tuple[Any, ...]) -> None:
        spent = 0.0

        def spend(cost: float) -> bytes | None:
            nonlocal spent
            assert cost >= 0
            spent += cost
            return b"too expensive" if spent > 3 * len(self.LONG) else None

        assert load(lua, None, spend)[b"run"](name, *args) == b"error: too expensive"

    def test_what_is_cheap_is_free(self, lua: str) -> None:
        costs: list[float] = []
        run = load(lua, None, costs.append)[b"run"]
        for pattern in (b"a", b"(%w+)=(%w+)", b"^%s*(.-)%s*$"):
            run(b"find", b"k=v", pattern)
            del costs[:]
            run(b"find", b"k=v", pattern)
            assert not costs


@pytest.mark.parametrize("lua", NAMES)
@pytest.mark.parametrize("budget", BUDGETS)
class TestState:
    """What is known of patterns is shared by all calls."""

    def test_more_patterns_than_are_remembered(self, lua: str, budget: int | None) -> None:
        code = b"""
            local string = ...
            for round = 1, 2 do
              for i = 1, 600 do
                local s = ("x"):rep(i % 7) .. i
                if string.match(s, "x*(%d+)" .. ("x?"):rep(i % 5) .. "$") ~= tostring(i) then
                  return i
                end
                if string.gsub(s, "%d", "<" .. i .. ">%0", 1) ~=
                  s:gsub("%d", "<" .. i .. ">%0", 1) then
                  return i
                end
              end
            end
            return true
        """
        assert loaded(lua, budget)[b"execute"](code) is True

    def test_callbacks_that_use_the_same_pattern(self, lua: str, budget: int | None) -> None:
        code = b"""
            local string = ...
            return (string.gsub("ab-cd-ef", "(%w)(%w)", function(one, two)
              local inner = string.gsub("xy" .. one, "(%w)(%w)", "%2%1")
              for a, b in string.gmatch("12", "(%w)(%w)") do inner = inner .. a .. b end
              return two .. inner
            end))
        """
        assert loaded(lua, budget)[b"execute"](code) == b"byxa12-dyxc12-fyxe12"
