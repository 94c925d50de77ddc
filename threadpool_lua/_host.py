"""The Python functions that Lua calls as ``host.NAME(...)``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any


@dataclass(frozen=True, eq=False, slots=True)
class HostFunction:
    """A function of the host program, as a pool knows it."""

    name: str
    function: Callable[..., Any]
    task_name: str
    """What the asyncio task is called in which it runs."""

    is_async: bool
    """Whether it runs on the loop while its Lua task is paused, or else on the pool thread."""

    wants_task: bool = False
    """Whether it is one of ours, whose first argument is the `Task` that calls it."""


class HostFunctions(dict[bytes, HostFunction]):
    """
    The host functions of a pool, by name.

    The states refer to it weakly: a function may refer to its pool, and a pool that is dropped must
    not be kept alive by its own threads.
    """

    __slots__ = ("__weakref__",)

    def register(self, name: object, function: object) -> None:
        """
        Add a function, or replace the one that has the name.

        Raises:
            TypeError: it is not callable, or its name is no str.
            ValueError: its name is empty.
        """
        if not callable(function):
            raise TypeError(f"a host function must be callable, not {type(function).__name__}")
        if not isinstance(name, str):
            raise TypeError(f"the name of a host function is str, not {type(name).__name__}")
        if not name:
            raise ValueError("the name of a host function must not be empty")
        self[name.encode()] = HostFunction(
            name,
            function,
            f"host.{name}",
            # An object may have an `async def __call__`.
            iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__),
        )


def as_values(result: object) -> tuple[object, ...]:
    """
    Return what Lua gets for what a Python function returned.

    It mirrors what Python gets for what a task returns: a tuple is several values, anything else
    one.
    """
    return result if type(result) is tuple else (result,)


def as_result(values: tuple[Any, ...]) -> object:
    """Return the values that Lua yields as Python code gets them: that is the other direction."""
    return values[0] if len(values) == 1 else values or None
