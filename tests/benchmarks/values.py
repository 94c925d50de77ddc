"""The cost of values: to Lua and back, beside lupa's own conversions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import msgspec

from threadpool_lua import _implementation, _values
from threadpool_lua._state import State, StateOptions

from ._measure import alternate, show

ROUNDS = 15
ECHO = "return ..."

CASES: dict[str, tuple[Any, int]] = {
    "1,000 rows of 3 fields": (
        [{"id": i, "name": f"name {i}", "score": i + 0.5} for i in range(1000)],
        20,
    ),
    "a dict of 10,000 numbers": ({f"key {i}": i + 0.5 for i in range(10_000)}, 4),
    "a dict of 4 keys": ({"id": 7, "name": "somebody", "score": 0.5, "active": True}, 5000),
    "a string of 10 MB": ("0123456789" * 1_000_000, 5),
}


def tasks_way(state: State) -> Callable[[Any], Any]:
    """Return a function that passes a value to a task and back."""
    return lambda value: state.run(ECHO, (value,))


def lupas_way(name: str) -> Callable[[Any], Any]:
    """Return a function that passes a value to Lua and back by what lupa has for it."""
    module = _implementation.load(name).module
    runtime = module.LuaRuntime()
    echo = runtime.eval("function(...) return ... end")
    lua_type, table_from = module.lua_type, runtime.table_from

    def walk(value: Any) -> Any:
        if lua_type(value) != "table":
            return value
        items = {key: walk(item) for key, item in value.items()}
        length = len(value)
        return list(items.values()) if length and length == len(items) else items

    def there_and_back(value: Any) -> Any:
        if isinstance(value, dict | list):
            return walk(echo(table_from(value, recursive=True)))
        return echo(value)

    return there_and_back


def timed(function: Callable[[Any], Any], value: Any, count: int) -> Callable[[], Awaitable[float]]:
    async def measure() -> float:
        start = perf_counter()
        for _ in range(count):
            function(value)
        return (perf_counter() - start) / count * 1e6

    return measure


def with_the_gil(value: Any) -> Callable[[Any], Any]:
    """Return a function that does what Python has to do for a value there and back, and no more."""
    if isinstance(value, str):
        encoded = value.encode()
        # One after the other: two such strings at a time make malloc ask for memory each time.
        return lambda value: [len(value.encode()), len(encoded.decode())]
    message = msgspec.msgpack.encode([value])
    return lambda value: (_values.pack((value,)), _values.unpack(message))


async def measure(name: str) -> None:
    for title, (value, count) in CASES.items():
        # A state of its own for each: what LuaJIT has compiled for other values matters.
        state = State(StateOptions(_implementation.load(name), None, None, init=None, as_text=True))
        lupas = lupas_way(name)
        assert state.run(ECHO, (value,)) == lupas(value) == value
        functions: dict[str, Callable[[Any], Any]] = {
            "a task": tasks_way(state),
            "lupa's way": lupas,
            "a task, with the GIL": with_the_gil(value),
        }
        peers = {peer: timed(function, value, count) for peer, function in functions.items()}
        rows = await alternate(peers, ROUNDS)
        show(f"{name}: {title}", "µs there and back", rows, "a task")
        state.close()


def run() -> None:
    """Run this part."""
    for name in ("luajit21", "lua54"):
        asyncio.run(measure(name))
