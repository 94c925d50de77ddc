"""Shared dictionaries, from Python and from Lua: `ngx.shared`."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from threadpool_lua import (
    LuaError,
    MarshalError,
    SharedDict,
    SharedDictFullError,
    ThreadPool,
    ThreadPoolError,
)
from threadpool_lua._ngx.shared import parse_size

from .helpers import run_python, same


class Clock:
    """A clock that goes only when it is told to, in milliseconds."""

    def __init__(self) -> None:
        self.now = 1000

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def dogs(clock: Clock) -> SharedDict:
    return SharedDict("dogs", 1024 * 1024, _now=clock)


def filled(dogs: SharedDict, **values: Any) -> SharedDict:
    for key, value in values.items():
        dogs.set(key, value)
    return dogs


class TestValues:
    @pytest.mark.parametrize(
        "value",
        [0, 1, -1, 3.0, 3.5, 2**63 - 1, -(2**63), float("inf"), True, False, "", "ümlaut", "\0"],
    )
    def test_a_value_keeps_its_type(self, dogs: SharedDict, value: Any) -> None:
        dogs["key"] = value
        assert same(dogs["key"], value)

    def test_str_and_bytes_are_the_same_string(self, dogs: SharedDict) -> None:
        dogs["ü"] = "ä".encode()
        assert dogs["ü".encode()] == "ä"
        assert list(dogs) == ["ü"]

    def test_strings_are_bytes_with_no_encoding(self) -> None:
        dogs = SharedDict("dogs", 16384, encoding=None)
        dogs["key"] = "ä"
        dogs.rpush("list", b"\xff")
        assert dogs["key"] == "ä".encode()
        assert dogs.rpop("list") == b"\xff"
        assert dogs.get_keys() == [b"key"]

    def test_what_is_not_utf8_is_refused_when_it_is_read(self, dogs: SharedDict) -> None:
        dogs["key"] = b"\xff"
        with pytest.raises(MarshalError, match="'\\\\xff' is not valid UTF-8; with encoding=None"):
            dogs.get("key")

    @pytest.mark.parametrize("value", [None, [], {}, set(), print])
    def test_other_values_are_refused(self, dogs: SharedDict, value: Any) -> None:
        with pytest.raises(TypeError, match="bad value type"):
            dogs["key"] = value
        with pytest.raises(TypeError, match="bad value type"):
            dogs.lpush("key", value)

    def test_an_int_has_64_bits(self, dogs: SharedDict) -> None:
        with pytest.raises(OverflowError, match="64 bits"):
            dogs["key"] = 2**63

    @pytest.mark.parametrize(
        ("key", "message"), [("", "empty key"), (b"", "empty key"), ("x" * 65536, "key too long")]
    )
    def test_keys_have_1_to_65535_bytes(self, dogs: SharedDict, key: Any, message: str) -> None:
        operations: list[Callable[[], object]] = [
            lambda: dogs.get(key),
            lambda: dogs.set(key, 1),
            lambda: dogs.incr(key, 1),
            lambda: dogs.lpush(key, 1),
            lambda: dogs.lpop(key),
            lambda: dogs.ttl(key),
            lambda: key in dogs,
        ]
        for operation in operations:
            with pytest.raises(ValueError, match=message):
                operation()
        dogs["x" * 65535] = 1

    def test_keys_are_strings(self, dogs: SharedDict) -> None:
        with pytest.raises(TypeError, match="a key is str or bytes, not int"):
            dogs.get(1)  # type: ignore[arg-type]


class TestMapping:
    def test_it_is_used_as_a_dict_is(self, dogs: SharedDict) -> None:
        dogs["a"] = 1
        dogs["b"] = 2
        assert dogs["a"] == 1
        assert "a" in dogs and "c" not in dogs
        assert len(dogs) == 2
        assert sorted(dogs) == ["a", "b"]
        del dogs["a"]
        assert list(dogs) == ["b"]
        assert dogs.get("a") is None and dogs.get("a", 5) == 5

    def test_a_missing_key_is_a_key_error(self, dogs: SharedDict) -> None:
        with pytest.raises(KeyError):
            dogs["missing"]
        with pytest.raises(KeyError):
            del dogs["missing"]

    def test_it_shows_its_name_and_size(self, dogs: SharedDict) -> None:
        assert repr(dogs) == "<SharedDict 'dogs' of 1048576 bytes>"
        assert dogs.name == "dogs"
        assert SharedDict.__module__ == "threadpool_lua"


class TestStoring:
    def test_add_sets_only_what_is_not_there(self, dogs: SharedDict, clock: Clock) -> None:
        assert dogs.add("key", 1, exptime=1)
        assert not dogs.add("key", 2)
        assert dogs["key"] == 1
        clock.advance(1)
        assert dogs.add("key", 2)
        assert dogs["key"] == 2

    def test_replace_sets_only_what_is_there(self, dogs: SharedDict, clock: Clock) -> None:
        assert not dogs.replace("key", 1)
        dogs.set("key", 1, exptime=1)
        assert dogs.replace("key", "two", exptime=1)
        assert dogs["key"] == "two"
        clock.advance(1)
        assert not dogs.replace("key", 3)
        assert "key" not in dogs

    def test_delete_removes_what_may_be_there(self, dogs: SharedDict) -> None:
        dogs["key"] = 1
        dogs.delete("key")
        dogs.delete("key")
        assert "key" not in dogs

    def test_flags_come_with_a_value(self, dogs: SharedDict) -> None:
        dogs.set("key", 1, flags=2**32 - 1)
        assert dogs.get_stale("key") == (1, 2**32 - 1, False)
        dogs.set("key", 2)
        assert dogs.get_stale("key") == (2, 0, False)
        with pytest.raises(ValueError, match="32 bits"):
            dogs.set("key", 1, flags=2**32)


class TestExpiry:
    def test_an_entry_is_there_until_it_expires(self, dogs: SharedDict, clock: Clock) -> None:
        dogs.set("key", 1, exptime=0.5)
        clock.advance(0.499)
        assert dogs.get("key") == 1
        clock.advance(0.001)
        assert dogs.get("key") is None
        assert "key" not in dogs and len(dogs) == 0 and dogs.get_keys() == []

    def test_ttl_and_expire(self, dogs: SharedDict, clock: Clock) -> None:
        dogs.set("key", 1, exptime=0.5)
        clock.advance(0.2)
        assert dogs.ttl("key") == 0.3
        dogs.expire("key", 2**31)
        assert dogs.ttl("key") == 2**31
        dogs.expire("key", 0)
        assert dogs.ttl("key") == 0
        dogs["key"] = 2
        assert dogs.ttl("key") == 0
        with pytest.raises(KeyError):
            dogs.ttl("missing")
        with pytest.raises(KeyError):
            dogs.expire("missing", 1)

    def test_the_ttl_of_what_has_expired_is_a_key_error(
        self, dogs: SharedDict, clock: Clock
    ) -> None:
        dogs.set("key", 1, exptime=1)
        clock.advance(1)
        with pytest.raises(KeyError):
            dogs.ttl("key")

    def test_get_stale_finds_what_has_expired(self, dogs: SharedDict, clock: Clock) -> None:
        dogs.set("key", 1, exptime=1, flags=5)
        assert dogs.get_stale("key") == (1, 5, False)
        clock.advance(1)
        assert dogs.get_stale("key") == (1, 5, True)
        assert dogs.get_stale("missing") == (None, 0, False)

    def test_every_operation_removes_the_two_oldest_that_have_expired(
        self, dogs: SharedDict, clock: Clock
    ) -> None:
        for number in range(4):
            dogs.set(f"key {number}", number, exptime=1)
        clock.advance(1)
        dogs.get("missing")
        stale = [dogs.get_stale(f"key {number}")[0] for number in range(4)]
        assert stale == [None, None, 2, 3]

    def test_flush_all_marks_and_flush_expired_removes(self, dogs: SharedDict) -> None:
        before = dogs.free_space()
        for number in range(1000):
            dogs[str(number)] = number
        dogs.flush_all()
        assert len(dogs) == 0
        assert dogs.free_space() < before
        assert dogs.flush_expired(10) == 10
        assert dogs.flush_expired() == 1000 - 3 - 10  # flush_all removes three, as nginx's does.
        assert dogs.flush_expired() == 0
        assert dogs.free_space() == before
        assert dogs.evicted == 0

    @pytest.mark.parametrize("exptime", [-1, float("nan")])
    def test_bad_times_are_refused(self, dogs: SharedDict, exptime: float) -> None:
        with pytest.raises(ValueError, match='bad "exptime" argument'):
            dogs.set("key", 1, exptime)
        with pytest.raises(ValueError, match='bad "init_ttl" argument'):
            dogs.incr("key", 1, 0, exptime)

    def test_time_goes_by_itself(self) -> None:
        dogs = SharedDict("dogs", 8192)
        dogs.set("short", 1, exptime=0.001)
        dogs.set("long", 1, exptime=1000)
        ended = threading.Event()
        while "short" in dogs:
            ended.wait(0.001)
        assert 0 < dogs.ttl("long") <= 1000


class TestIncr:
    def test_it_adds(self, dogs: SharedDict) -> None:
        dogs["key"] = 1
        assert same(dogs.incr("key"), 2)
        assert same(dogs.incr("key", -3), -1)
        assert same(dogs.incr("key", 0.5), -0.5)
        assert dogs["key"] == -0.5

    def test_init_is_where_it_begins(self, dogs: SharedDict, clock: Clock) -> None:
        with pytest.raises(KeyError):
            dogs.incr("key")
        assert dogs.incr("key", 1, init=10, init_ttl=1) == 11
        assert dogs.incr("key", 1, init=10, init_ttl=5) == 12
        assert dogs.ttl("key") == 1
        clock.advance(1)
        assert dogs.incr("key", 1, init=10) == 11
        assert dogs.ttl("key") == 0

    def test_what_was_there_and_expired_goes(self, dogs: SharedDict, clock: Clock) -> None:
        dogs.set("key", "text", exptime=1, flags=7)
        for _ in range(3):
            dogs.rpush("list", 1)
        dogs.expire("list", 1)
        clock.advance(1)
        assert dogs.incr("key", 1, init=0) == 1
        assert dogs.incr("list", 1, init=0) == 1
        assert dogs.get_stale("key") == (1, 0, False)

    @pytest.mark.parametrize("value", ["1", True])
    def test_only_numbers_are_added_to(self, dogs: SharedDict, value: Any) -> None:
        dogs["key"] = value
        with pytest.raises(TypeError, match="not a number"):
            dogs.incr("key", 1, init=0)

    def test_what_64_bits_do_not_hold_becomes_a_float(self, dogs: SharedDict) -> None:
        dogs["key"] = 2**63 - 1
        assert same(dogs.incr("key", 1), 2.0**63)


class TestLists:
    def test_both_ends(self, dogs: SharedDict) -> None:
        assert [dogs.rpush("list", 1), dogs.rpush("list", "two"), dogs.lpush("list", 0.5)] == [
            1,
            2,
            3,
        ]
        assert dogs.llen("list") == 3
        assert [dogs.lpop("list"), dogs.rpop("list"), dogs.rpop("list")] == [0.5, "two", 1]
        assert dogs.lpop("list") is None and dogs.rpop("list") is None
        assert dogs.llen("list") == 0
        assert "list" not in dogs  # It went with its last item.

    def test_a_list_is_no_value_and_a_value_is_no_list(self, dogs: SharedDict) -> None:
        dogs.rpush("list", 1)
        for read in (dogs.get, dogs.get_stale, dogs.__getitem__):
            with pytest.raises(TypeError, match="value is a list"):
                read("list")
        with pytest.raises(TypeError, match="not a number"):
            dogs.incr("list", 1)
        dogs["value"] = 1
        for operation in (dogs.lpop, dogs.rpop, dogs.llen):
            with pytest.raises(TypeError, match="value not a list"):
                operation("value")
        with pytest.raises(TypeError, match="value not a list"):
            dogs.lpush("value", 1)

    def test_a_value_takes_the_place_of_a_list(self, dogs: SharedDict) -> None:
        dogs.rpush("list", 1)
        dogs["list"] = 2
        assert dogs["list"] == 2

    def test_lists_expire(self, dogs: SharedDict, clock: Clock) -> None:
        dogs.rpush("list", 1)
        dogs.expire("list", 1)
        clock.advance(1)
        assert dogs.llen("list") == 0
        assert dogs.lpop("list") is None
        assert dogs.rpush("list", 2) == 1
        assert dogs.ttl("list") == 0

    def test_booleans_are_no_items(self, dogs: SharedDict) -> None:
        with pytest.raises(TypeError, match="bad value type"):
            dogs.rpush("list", True)


class TestRoom:
    """What fits is what OpenResty's own tests find to fit."""

    @pytest.mark.parametrize(
        ("size", "first_forcible", "value"),
        [
            (100 * 1024, 353, lambda number: " hello" * 10 + str(number)),
            (100 * 1024, 140, lambda number: "hello" * number),
        ],
    )
    def test_the_number_of_entries(
        self, size: int, first_forcible: int, value: Callable[[int], str]
    ) -> None:
        dogs = SharedDict("dogs", size)
        number = 0
        while not dogs.evicted:
            number += 1
            dogs[f"key_{number}"] = value(number)
        assert number == first_forcible

    @pytest.mark.parametrize(
        ("size", "entries", "free"),
        [
            (16384, 0, 4096),
            (16384, 31, 4096),
            (16384, 32, 0),
            (16384, 63, 0),
            (102400, 0, 90112),
            (102400, 735, 0),
        ],
    )
    def test_free_space_is_in_pages(self, size: int, entries: int, free: int) -> None:
        birds = SharedDict("birds", size)
        for number in range(1, entries + 1):
            birds[f"key{number:05}"] = f"val{number:05}"
        assert birds.capacity() == size
        assert birds.free_space() == free
        assert birds.evicted == 0
        assert len(birds) == entries

    def test_what_was_not_used_for_the_longest_time_goes_first(self) -> None:
        dogs = SharedDict("dogs", 16384)
        for number in range(63):
            dogs[f"key{number:05}"] = "12345678"
        assert dogs["key00000"] == "12345678"  # It is used.
        dogs["another0"] = "12345678"
        assert dogs.evicted == 1
        assert "key00000" in dogs and "key00001" not in dogs
        assert dogs.get_keys(1) == ["key00002"]

    def test_entries_that_have_expired_are_not_evicted(self, clock: Clock) -> None:
        dogs = SharedDict("dogs", 16384, _now=clock)
        for number in range(63):
            dogs.set(f"key{number:05}", "12345678", exptime=1)
        clock.advance(1)
        dogs["large"] = "x" * 3000
        assert dogs.evicted == 0
        assert list(dogs) == ["large"]

    def test_safe_operations_evict_nothing(self) -> None:
        dogs = SharedDict("dogs", 16384)
        for number in range(63):
            dogs[f"key{number:05}"] = "12345678"
        with pytest.raises(SharedDictFullError) as caught:
            dogs.safe_set("another0", "12345678")
        with pytest.raises(SharedDictFullError):
            dogs.safe_add("another0", "12345678")
        assert not dogs.safe_add("key00000", "12345678")
        dogs.safe_set("key00000", "87654321")
        assert len(dogs) == 63 and dogs.evicted == 0
        assert str(caught.value) == 'no memory in lua_shared_dict zone "dogs"'
        assert caught.value.name == "dogs"
        assert isinstance(caught.value, ThreadPoolError) and isinstance(caught.value, MemoryError)

    def test_lists_evict_nothing(self) -> None:
        dogs = SharedDict("dogs", 16384)
        with pytest.raises(SharedDictFullError):
            while True:
                dogs.rpush("list", "x" * 1000)
        assert dogs.evicted == 0
        assert dogs.llen("list") > 0
        with pytest.raises(SharedDictFullError):
            dogs.rpush("another", "x" * 10_000)
        assert "another" not in dogs

    def test_at_most_thirty_make_room(self) -> None:
        dogs = SharedDict("dogs", 100 * 1024)
        for number in range(100):
            dogs[str(number)] = number
        with pytest.raises(SharedDictFullError):
            dogs["large"] = "x" * 200_000
        assert dogs.evicted == 30
        assert len(dogs) == 70

    def test_incr_makes_room(self) -> None:
        dogs = SharedDict("dogs", 16384)
        for number in range(63):
            dogs[f"key{number:05}"] = number
        assert dogs.incr("another0", 1, init=0) == 1
        assert dogs.evicted == 1

    def test_the_smallest_has_room(self) -> None:
        dogs = SharedDict("dogs", 8192)
        dogs["key"] = "value"
        assert dogs["key"] == "value"


class TestConfiguration:
    @pytest.mark.parametrize(
        ("text", "size"),
        [("8192", 8192), ("100k", 102400), ("8K", 8192), ("10m", 10485760), ("1M", 1048576)],
    )
    def test_sizes_are_written_as_in_nginx(self, text: str, size: int) -> None:
        assert parse_size(text) == size

    @pytest.mark.parametrize("text", ["", "k", "10g", "1.5m", "-1", "10 m", "10mm", "²"])
    def test_bad_sizes(self, text: str) -> None:
        with pytest.raises(ValueError, match="invalid size"):
            parse_size(text)

    def test_bad_arguments(self) -> None:
        with pytest.raises(ValueError, match='invalid lua shared dict name ""'):
            SharedDict("", 8192)
        with pytest.raises(ValueError, match='invalid lua shared dict size "8191"'):
            SharedDict("dogs", 8191)
        with pytest.raises(ValueError, match="encoding must be 'utf-8' or None"):
            SharedDict("dogs", 8192, encoding="latin-1")


KEYS = st.sampled_from(["a", "b", "c", "ä", "long" * 10])
VALUES = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.booleans() | st.text()
ITEMS = st.integers(-100, 100) | st.text(max_size=5)
TIMES = st.sampled_from([0, 0.001, 0.5, 1, 10])
OPERATIONS = st.one_of(
    st.tuples(st.just("advance"), TIMES),
    st.tuples(st.sampled_from(["set", "add", "replace", "safe_set", "safe_add"]), KEYS, VALUES,
              TIMES, st.integers(0, 3)),
    st.tuples(st.just("incr"), KEYS, st.integers(-9, 9), st.none() | st.integers(-9, 9), TIMES),
    st.tuples(st.sampled_from(["lpush", "rpush"]), KEYS, ITEMS),
    st.tuples(st.sampled_from(["get", "delete", "lpop", "rpop", "llen", "ttl"]), KEYS),
    st.tuples(st.just("expire"), KEYS, TIMES),
    st.tuples(st.sampled_from(["flush_all", "flush_expired"])),
)  # fmt: skip


class Model:
    """What a shared dictionary without bounds is: keys with a value, a time and flags."""

    def __init__(self) -> None:
        self.now = 0.0
        self.entries: dict[str, list[Any]] = {}

    def advance(self, seconds: float) -> None:
        self.now = round(self.now + seconds, 3)

    def valid(self, key: str) -> list[Any] | None:
        entry = self.entries.get(key)
        return None if entry is None or entry[1] <= self.now else entry

    def deadline(self, exptime: float) -> float:
        return round(self.now + exptime, 3) if exptime else float("inf")

    def set(self, key: str, value: Any, exptime: float, flags: int) -> None:
        self.entries[key] = [value, self.deadline(exptime), flags]

    def add(self, key: str, value: Any, exptime: float, flags: int) -> bool:
        if self.valid(key):
            return False
        self.set(key, value, exptime, flags)
        return True

    def replace(self, key: str, value: Any, exptime: float, flags: int) -> bool:
        if not self.valid(key):
            return False
        self.set(key, value, exptime, flags)
        return True

    def incr(self, key: str, value: int, init: int | None, init_ttl: float) -> Any:
        entry = self.valid(key)
        if entry is None:
            if init is None:
                raise KeyError
            self.set(key, init + value, init_ttl, 0)
            return init + value
        if type(entry[0]) not in (int, float):
            raise TypeError
        entry[0] += value
        if type(entry[0]) is int and not -(2**63) <= entry[0] < 2**63:
            entry[0] = float(entry[0])
        return entry[0]

    def items(self, key: str, make: bool = False) -> deque[Any]:
        entry = self.valid(key)
        if entry is None:
            items: deque[Any] = deque()
            if make:
                self.set(key, items, 0, 0)
            return items
        if not isinstance(entry[0], deque):
            raise TypeError
        return entry[0]

    def lpush(self, key: str, value: Any) -> int:
        items = self.items(key, make=True)
        items.appendleft(value)
        return len(items)

    def rpush(self, key: str, value: Any) -> int:
        items = self.items(key, make=True)
        items.append(value)
        return len(items)

    def lpop(self, key: str) -> Any:
        items = self.items(key)
        value = items.popleft() if items else None
        if not items and self.valid(key):
            del self.entries[key]
        return value

    def rpop(self, key: str) -> Any:
        items = self.items(key)
        value = items.pop() if items else None
        if not items and self.valid(key):
            del self.entries[key]
        return value

    def llen(self, key: str) -> int:
        return len(self.items(key))

    def get(self, key: str) -> Any:
        entry = self.valid(key)
        if entry and isinstance(entry[0], deque):
            raise TypeError
        return entry and entry[0]

    def delete(self, key: str) -> None:
        self.entries.pop(key, None)

    def ttl(self, key: str) -> float:
        entry = self.valid(key)
        if entry is None:
            raise KeyError
        return 0 if entry[1] == float("inf") else round(entry[1] - self.now, 3)

    def expire(self, key: str, exptime: float) -> None:
        entry = self.valid(key)
        if entry is None:
            raise KeyError
        entry[1] = self.deadline(exptime)

    def flush_all(self) -> None:
        self.entries.clear()

    def flush_expired(self) -> None:
        pass  # How many there are depends on what was removed before.


def outcome_of(obj: object, name: str, *args: Any) -> Any:
    try:
        return getattr(obj, name)(*args)
    except (KeyError, TypeError) as error:
        return type(error)


class TestProperties:
    @given(st.lists(OPERATIONS, max_size=40))
    @settings(deadline=None, max_examples=200)
    def test_it_does_what_a_simple_model_does(self, operations: list[tuple[Any, ...]]) -> None:
        clock = Clock()
        dogs, model = SharedDict("dogs", 1024 * 1024, _now=clock), Model()
        for name, *args in operations:
            if name == "advance":
                clock.advance(*args)
                model.advance(*args)
                continue
            if name == "expire" and model.valid(args[0]) is None:
                continue  # It brings back what has expired and is not removed yet.
            outcome = outcome_of(dogs, name, *args)
            expected = outcome_of(model, name.removeprefix("safe_"), *args)
            if name != "flush_expired":
                assert same(outcome, expected) or outcome == expected == 0, name
            assert sorted(dogs) == sorted(filter(model.valid, model.entries))

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["set", "rpush", "lpop", "safe_set", "delete", "incr"]),
                st.integers(0, 100).map(str),
                st.integers(0, 5000),
            ),
            max_size=200,
        )
    )
    @settings(deadline=None, max_examples=100)
    def test_all_memory_comes_back(self, operations: list[tuple[str, str, int]]) -> None:
        dogs = SharedDict("dogs", 32768)
        empty = dogs.free_space()
        for name, key, size in operations:
            args = {"lpop": (), "delete": (), "incr": (size, 0)}.get(name, ("x" * size,))
            with suppress(SharedDictFullError, TypeError):
                getattr(dogs, name)(key, *args)
            assert 0 <= dogs.free_space() <= empty
        dogs.flush_all()
        dogs.flush_expired()
        assert dogs.free_space() == empty


@pytest.fixture
async def pool(lua: str, dogs: SharedDict) -> AsyncIterator[ThreadPool]:
    """An open pool whose tasks share `dogs` with the test, and one that is nearly full."""
    async with ThreadPool("test", threads=2, lua=lua) as pool:
        share(pool, dogs, full())
        yield pool


def share(pool: ThreadPool, *dicts: SharedDict) -> None:
    for shared in dicts:
        pool._ngx.shared[shared.name] = shared


def full() -> SharedDict:
    cats = SharedDict("cats", 16384)
    for number in range(63):
        cats[f"key{number:05}"] = "12345678"
    return cats


def code(expression: str) -> str:
    """Return Lua that returns all results of an expression, and how many they are."""
    return f"""
        local dogs, cats = ngx.shared.dogs, ngx.shared.cats
        local function all(...) return select('#', ...), ... end
        return all({expression})
    """


class TestLua:
    async def test_zones_are_found_by_name(self, pool: ThreadPool) -> None:
        names = """
            local names = {}
            for name in pairs(ngx.shared) do names[#names + 1] = name end
            table.sort(names)
            return table.concat(names, ' '), ngx.shared.birds, type(ngx.shared.dogs)
        """
        assert await pool.submit(names) == ("cats dogs", None, "table")

    async def test_a_pool_without_any_has_an_empty_table(self, lua: str) -> None:
        async with ThreadPool(threads=1, lua=lua) as pool:
            assert await pool.submit("return type(ngx.shared), next(ngx.shared)") == ("table", None)

    @pytest.mark.parametrize(
        ("expression", "results"),
        [
            ("dogs:set('new', 1)", [True, None, False]),
            ("cats:set('another0', '12345678')", [True, None, True]),
            ("dogs:set('new', ('x'):rep(2000000))", [False, "no memory", True]),
            ("dogs:set('new', print)", [None, "bad value type"]),
            ("dogs:set('number', nil)", [True, None, False]),
            ("dogs:set(nil, 1)", [None, "nil key"]),
            ("dogs:set('', 1)", [None, "empty key"]),
            ("dogs:set(('x'):rep(65536), 1)", [None, "key too long"]),
            ("cats:safe_set('another0', '12345678')", [False, "no memory", False]),
            ("cats:safe_add('another0', '12345678')", [False, "no memory", False]),
            ("dogs:safe_set('new', 1)", [True, None, False]),
            ("dogs:safe_add('number', 1)", [False, "exists", False]),
            ("dogs:add('number', 1)", [False, "exists", False]),
            ("dogs:add('new', 1)", [True, None, False]),
            ("dogs:add('new', nil)", [False, "attempt to add or replace nil values", False]),
            ("dogs:replace('number', 1)", [True, None, False]),
            ("dogs:replace('new', 1)", [False, "not found", False]),
            ("dogs:delete('number')", [True, None, False]),
            ("dogs:get('number')", [42]),
            ("dogs:get('flagged')", ["text", 7]),
            ("dogs:get('no')", [False]),
            ("dogs:get('missing')", [None]),
            ("dogs:get('list')", [None, "value is a list"]),
            ("dogs:get(nil)", [None, "nil key"]),
            ("dogs:get_stale('number')", [42, None, False]),
            ("dogs:get_stale('flagged')", ["text", 7, False]),
            ("dogs:get_stale('expired')", [1, None, True]),
            ("dogs:get_stale('missing')", [None]),
            ("dogs:get_stale('list')", [None, "value is a list"]),
            ("dogs:incr('number', 1)", [43]),
            ("dogs:incr('number', '1')", [43]),
            ("dogs:incr('number', 1, 0)", [43, None, False]),
            ("dogs:incr('missing', 1)", [None, "not found"]),
            ("dogs:incr('flagged', 1)", [None, "not a number"]),
            ("dogs:incr('new', 1, 10)", [11, None, False]),
            ("cats:incr('another0', 1, 10)", [11, None, True]),
            ("dogs:incr('new', 1, '10', '5')", [11, None, False]),
            ("dogs:lpush('list', 0.5)", [4]),
            ("dogs:rpush('new', 'first')", [1]),
            ("dogs:lpush('number', 1)", [None, "value not a list"]),
            ("dogs:lpush('new', true)", [None, "bad value type"]),
            ("dogs:rpush('new', ('x'):rep(2000000))", [None, "no memory"]),
            ("dogs:lpop('list')", [1]),
            ("dogs:rpop('list')", ["three"]),
            ("dogs:rpop('missing')", [None]),
            ("dogs:lpop('number')", [None, "value not a list"]),
            ("dogs:llen('list')", [3]),
            ("dogs:llen('missing')", [0]),
            ("dogs:llen('number')", [None, "value not a list"]),
            ("dogs:ttl('number')", [0]),
            ("dogs:ttl('expiring')", [2.5]),
            ("dogs:ttl('missing')", [None, "not found"]),
            ("dogs:expire('number', 1)", [True]),
            ("dogs:expire('number', '1')", [True]),
            ("dogs:expire('number', -1/0)", [True]),
            ("dogs:expire('missing', 1)", [None, "not found"]),
            ("dogs:flush_all()", []),
            ("dogs:flush_expired()", [1]),
            ("dogs:flush_expired(5)", [1]),
            ("#dogs:get_keys()", [5]),
            ("#dogs:get_keys(2)", [2]),
            ("#dogs:get_keys(0)", [5]),
            ("cats:capacity()", [16384]),
            ("cats:free_space()", [0]),
        ],
    )
    async def test_results_are_those_of_openresty(
        self,
        pool: ThreadPool,
        dogs: SharedDict,
        clock: Clock,
        expression: str,
        results: list[Any],
    ) -> None:
        dogs.set("number", 42)
        dogs.set("no", False)
        dogs.set("expired", 1, exptime=1)
        dogs.set("flagged", "text", flags=7)
        for item in (1, 2, "three"):
            dogs.rpush("list", item)
        clock.advance(1)
        dogs.set("expiring", 1, exptime=2.5)
        dogs.expire("no", 0)
        returned = await pool.submit(code(expression))
        assert returned == ((len(results), *results) if results else 0)

    @pytest.mark.parametrize(
        ("expression", "message"),
        [
            ("dogs.get('key')", 'bad "zone" argument'),
            ("dogs.get({'birds'}, 'key')", 'bad "zone" argument'),
            ("dogs.set(nil, 'key', 1)", 'bad "zone" argument'),
            ("dogs.lpop({}, 'key')", 'bad "zone" argument'),
            ("dogs.get_keys()", 'bad "zone" argument'),
            ("dogs.capacity(1)", 'bad "zone" argument'),
            ("dogs:set('key', 1, -1)", 'bad "exptime" argument'),
            ("dogs:set('key', 1, 0/0)", 'bad "exptime" argument'),
            ("dogs:set('key', 1, 0, 'x')", 'bad "flags" argument'),
            ("dogs:set('key', 1, 0, 1/0)", 'bad "flags" argument'),
            ("dogs:incr('key')", "cannot convert 'nil' to 'double'"),
            ("dogs:incr('key', 1, 'x')", "bad init arg: number expected, got string"),
            ("dogs:incr('key', 1, 0, 'x')", "bad init_ttl arg: number expected, got string"),
            ("dogs:incr('key', 1, 0, -1)", 'bad "init_ttl" argument'),
            ("dogs:incr('key', 1, nil, 1)", 'must provide "init" when providing "init_ttl"'),
            ("dogs:expire('key')", 'bad "exptime" argument'),
            ("dogs:lpush('key')", "expecting 3 arguments, but only seen 2"),
            ("dogs:rpop()", "expecting 2 arguments, but only seen 1"),
            ("dogs:get_keys(1, 2)", "expecting 1 or 2 argument(s), but saw 3"),
            (
                "dogs:flush_expired('x')",
                "bad argument #1 to 'flush_expired' (number expected, got string)",
            ),
        ],
    )
    async def test_wrong_arguments_are_errors(
        self, pool: ThreadPool, expression: str, message: str
    ) -> None:
        with pytest.raises(LuaError) as caught:
            await pool.submit(f"local dogs = ngx.shared.dogs\nlocal _ = {expression}")
        assert caught.value.message.endswith(message)
        assert caught.value.line == 2

    async def test_keys_become_strings(self, pool: ThreadPool) -> None:
        assert await pool.submit("""
            local dogs = ngx.shared.dogs
            dogs:set(1234, "cat")
            dogs:set(true, "bird")
            return dogs:get("1234"), dogs:get("true"), dogs:get(1234)
        """) == ("cat", "bird", "cat")

    async def test_any_bytes_are_a_key_and_a_value(self, pool: ThreadPool) -> None:
        assert await pool.submit("""
            local bytes = {}
            for byte = 0, 255 do bytes[#bytes + 1] = string.char(byte) end
            local all = table.concat(bytes)
            local dogs = ngx.shared.dogs
            dogs:set(all, all)
            dogs:set("12:", "x")
            local value, keys = dogs:get(all), dogs:get_keys()
            return value == all, keys[1], keys[2] == all
        """) == (True, "12:", True)

    async def test_there_may_be_many_keys(self, pool: ThreadPool, dogs: SharedDict) -> None:
        for number in range(3000):
            dogs[str(number)] = number
        count = "local keys = ngx.shared.dogs:get_keys(...) return #keys, keys[1], keys[#keys]"
        assert await pool.submit(count) == (1024, "0", "1023")
        assert await pool.submit(count, 0) == (3000, "0", "2999")

    async def test_numbers_keep_their_kind_where_there_are_two(
        self, pool: ThreadPool, dogs: SharedDict, lua: str
    ) -> None:
        await pool.submit("""
            ngx.shared.dogs:set("integer", 3)
            ngx.shared.dogs:set("float", 3.0)
            ngx.shared.dogs:set("half", 0.5)
        """)
        assert same(dogs["integer"], 3)
        assert same(dogs["float"], 3 if lua == "luajit21" else 3.0)
        assert same(dogs["half"], 0.5)

    async def test_it_is_there_in_init_and_modules(self, lua: str, dogs: SharedDict) -> None:
        pool = ThreadPool(threads=1, lua=lua, init="ngx.shared.dogs:incr('inits', 1, 0)")
        share(pool, dogs)
        async with pool:
            await pool.submit("return")
        assert dogs["inits"] == 1

    async def test_it_pauses_nothing(self, pool: ThreadPool) -> None:
        """So it works where Lua cannot yield."""
        assert await pool.submit("""
            local dogs, numbers = ngx.shared.dogs, {3, 1, 2}
            table.sort(numbers, function(a, b) dogs:incr("calls", 1, 0) return a < b end)
            return numbers[1], dogs:get("calls") > 0
        """) == (1, True)

    async def test_a_sandbox_has_none(self, lua: str, dogs: SharedDict) -> None:
        async with ThreadPool(threads=1, lua=lua, sandbox=True) as pool:
            share(pool, dogs)
            with pytest.raises(LuaError, match="ngx.shared is not available in a sandbox"):
                await pool.submit("return ngx.shared.dogs")

    async def test_pools_of_several_implementations_share_one(self, dogs: SharedDict) -> None:
        async with (
            ThreadPool("one", threads=1, lua="luajit21") as one,
            ThreadPool("two", threads=1, lua="lua54") as two,
        ):
            share(one, dogs)
            share(two, dogs)
            await one.submit("ngx.shared.dogs:set('key', 'from one')")
            assert await two.submit("return ngx.shared.dogs:get('key')") == "from one"


THREADS, ROUNDS = 8, 1000

WORK = """
    local number, rounds = ...
    local dogs = ngx.shared.dogs
    for round = 1, rounds do
      dogs:incr("count", 1, 0)
      assert(dogs:rpush("list", number .. ":" .. round))
      local item = assert(dogs:lpop("list"))
      assert(dogs:add(item, true))
    end
"""


class TestStress:
    async def test_threads_lose_nothing(self, lua: str) -> None:
        """Lua on eight threads and Python on eight others; what one pushes any may pop."""
        dogs = SharedDict("dogs", 16 * 1024 * 1024)

        def work(number: int) -> None:
            for round_ in range(ROUNDS):
                dogs.incr("count", 1, 0)
                dogs.rpush("list", f"{number}:{round_ + 1}")
                assert dogs.add(dogs.lpop("list"), True)

        async with ThreadPool("test", threads=THREADS, lua=lua) as pool:
            share(pool, dogs)
            await asyncio.gather(
                *(pool.submit(WORK, number, ROUNDS) for number in range(THREADS)),
                *(asyncio.to_thread(work, number) for number in range(THREADS, 2 * THREADS)),
            )
        assert dogs["count"] == 2 * THREADS * ROUNDS
        assert dogs.llen("list") == 0
        dogs.delete("count")
        assert set(dogs) == {
            f"{number}:{round_ + 1}" for number in range(2 * THREADS) for round_ in range(ROUNDS)
        }

    def test_a_forked_process_goes_on_with_a_copy(self) -> None:
        result = run_python("""
            import os, threading, warnings
            from threadpool_lua import SharedDict

            warnings.simplefilter("ignore", DeprecationWarning)  # of threads at a fork
            dogs = SharedDict("dogs", 1024 * 1024)
            dogs["key"] = 0
            ended = threading.Event()

            def work():
                while not ended.is_set():
                    dogs.flush_expired()

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            for _ in range(20):
                child = os.fork()
                if not child:
                    dogs.incr("key")
                    os._exit(dogs["key"])
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
            ended.set()
            print(dogs["key"])
        """)
        assert result.stdout == "0\n", result.stderr
