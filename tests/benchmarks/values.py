"""
Values: to Lua and back, beside lupa's own conversions.

A task's arguments are returned as its results. lupa's way makes Lua tables of them and walks the
result. What a task needs the GIL for is shown apart: while it does the rest, Python runs on.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from time import perf_counter
from typing import Any

import msgspec

from threadpool_lua import _implementation, _values
from threadpool_lua._ngx.worker import NgxWorker
from threadpool_lua._state import State, StateOptions

from ._bench import Bench
from ._measure import for_at_least
from ._results import Figures, Measure

ON = ("asyncio",)
LUA = ("luajit21", "lua54")
OURS = "a task"
ECHO = "return ..."

CASES: dict[str, Any] = {
    "1,000 rows of 3 fields": [
        {"id": i, "name": f"name {i}", "score": i + 0.5} for i in range(1000)
    ],
    "a dict of 10,000 numbers": {f"key {i}": i + 0.5 for i in range(10_000)},
    "a dict of 4 keys": {"id": 7, "name": "somebody", "score": 0.5, "active": True},
    "a string of 10 MB": "0123456789" * 1_000_000,
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


def timed(function: Callable[[Any], Any], value: Any, seconds: float) -> Measure:
    async def drive(count: int) -> Figures:
        start = perf_counter()
        for _ in range(count):
            function(value)
        return {"µs there and back": (perf_counter() - start) / count * 1e6}

    return for_at_least(seconds, drive)


def with_the_gil(value: Any) -> Callable[[Any], Any]:
    """Return a function that does what Python has to do for a value there and back, and no more."""
    if isinstance(value, str):
        encoded = value.encode()
        # One after the other: two such strings at a time make malloc ask for memory each time.
        return lambda value: [len(value.encode()), len(encoded.decode())]
    message = msgspec.msgpack.encode([value])
    return lambda value: (_values.pack((value,)), _values.unpack(message))


async def there_and_back(bench: Bench) -> None:
    """There and back."""
    seconds = bench.pick(full=0.05, fast=0.02, tiny=0.0)
    for name, (title, value) in product(LUA, CASES.items()):
        # A state of its own for each: what LuaJIT has compiled for other values matters.
        state = State(
            StateOptions(
                _implementation.load(name), None, None, init=(), as_text=True, ngx=NgxWorker()
            )
        )
        lupas = lupas_way(name)
        assert state.run(ECHO, (value,)) == lupas(value) == value
        functions: dict[str, Callable[[Any], Any]] = {
            OURS: tasks_way(state),
            "lupa's way": lupas,
            "a task, with the GIL": with_the_gil(value),
        }
        await bench.compare(
            {it: timed(function, value, seconds) for it, function in functions.items()},
            ours=OURS,
            title=f"{title}, {name}",
        )
        state.close()


SECTIONS = (there_and_back,)
