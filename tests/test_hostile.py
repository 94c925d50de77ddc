"""
Hostile scripts in a sandbox with limits: what comes of each, and that its neighbours are unharmed.

Each file of ``tests/hostile`` is one script. It begins with comments: what it tries, and then what
must come of it, in lines such as these:

    -- outcome: returns True             what `await` gives, as a Python literal
    -- outcome: LuaError: overflow       exactly this class, and a part of its text
    -- or: LuaMemoryLimitError           what may come of it as well
    -- outcome on lua54: returns 0       where an implementation differs
    -- the state may be lost             with it goes a task that is paused there
    -- not on lua54: why it is not run there
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import re
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import threadpool_lua
from threadpool_lua import Chunk, LuaMemoryLimitError, StateLostError, ThreadPool

from .helpers import same

FOLDER = Path(__file__).parent / "hostile"
NEIGHBOUR = Chunk.from_file(FOLDER / "_neighbour.lua")
IMPLEMENTATIONS = ("luajit21", "lua54")

TIME_LIMIT = 0.25  # seconds
MEMORY_LIMIT = 32 * 2**20  # bytes

_HEADER = re.compile(
    r"-- (?:outcome(?: on (?P<lua>\w+))?: (?P<outcome>.+)|or: (?P<alternative>.+)"
    r"|(?P<may_lose_state>the state may be lost)|not on (?P<not_on>\w+): (?P<why>.+))"
)


@dataclass(frozen=True)
class Returned:
    """A task has returned a value."""

    value: Any

    def covers(self, outcome: object) -> bool:
        return isinstance(outcome, Returned) and same(self.value, outcome.value)


@dataclass(frozen=True)
class Raised:
    """A task has raised an error of a class, with a text."""

    kind: type[Exception]
    text: str

    def covers(self, outcome: object) -> bool:
        """Tell whether that is an error of this very class, and this is a part of its text."""
        return (
            isinstance(outcome, Raised) and self.kind is outcome.kind and self.text in outcome.text
        )


class Script:
    """A hostile script, with what its first lines say."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self.chunk = Chunk.from_file(path)
        self.purpose: list[str] = []
        self.outcomes: dict[str, list[Returned | Raised]] = {}
        self.not_on: dict[str, str] = {}
        self.may_lose_state = False
        self.malformed: list[str] = []
        latest: list[Returned | Raised] = []
        for line in self.chunk.source.decode().splitlines():
            header = _HEADER.fullmatch(line)
            if header is None:
                if not line.startswith("--"):
                    break
                (self.malformed if self.outcomes else self.purpose).append(line)
            elif header["outcome"]:
                latest = self.outcomes[header["lua"] or "all"] = [_parse(header["outcome"])]
            elif header["alternative"]:
                latest.append(_parse(header["alternative"]))
            elif header["not_on"]:
                self.not_on[header["not_on"]] = header["why"]
            else:
                self.may_lose_state = True

    def outcomes_on(self, lua: str) -> list[Returned | Raised]:
        """Return what may come of it on an implementation."""
        return self.outcomes.get(lua) or self.outcomes["all"]


def _parse(outcome: str) -> Returned | Raised:
    if outcome.startswith("returns "):
        return Returned(ast.literal_eval(outcome.removeprefix("returns ")))
    name, _, text = outcome.partition(": ")
    return Raised(getattr(threadpool_lua, name, None) or getattr(builtins, name), text)


async def outcome_of(task: Awaitable[Any]) -> Returned | Raised:
    try:
        return Returned(await task)
    except Exception as error:
        return Raised(type(error), str(error))


SCRIPTS = [Script(path) for path in sorted(FOLDER.glob("[!_]*.lua"))]


def test_there_are_many() -> None:
    assert len(SCRIPTS) >= 80


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_its_first_lines_say_what_must_come_of_it(script: Script) -> None:
    assert script.purpose and not script.malformed
    assert {*script.outcomes, *script.not_on} <= {"all", *IMPLEMENTATIONS}
    for lua in IMPLEMENTATIONS:
        assert lua in script.not_on or script.outcomes_on(lua)


@pytest.mark.asyncio(loop_factories=["asyncio"])
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
async def test_it_ends_as_it_must_and_its_neighbours_are_unharmed(lua: str, script: Script) -> None:
    if lua in script.not_on:
        pytest.skip(script.not_on[lua])
    is_paused, may_go_on = asyncio.Event(), asyncio.Event()

    def echo(*values: object) -> tuple[object, ...]:
        return values

    def fail() -> None:
        raise ValueError("oops")

    async def wait(value: object = None, seconds: float = 0) -> object:
        await asyncio.sleep(seconds)
        return value

    async def pause(value: object) -> object:
        is_paused.set()
        await may_go_on.wait()
        return value

    async with (
        asyncio.timeout(20),
        ThreadPool(
            "hostile",
            threads=2,
            states=1,
            lua=lua,
            sandbox=True,
            time_limit=TIME_LIMIT,
            memory_limit=MEMORY_LIMIT,
            functions={"echo": echo, "fail": fail, "wait": wait, "pause": pause},
        ) as pool,
    ):
        neighbour = pool.submit(NEIGHBOUR, True)
        await is_paused.wait()

        outcome = await outcome_of(pool.submit(script.chunk))
        assert any(each.covers(outcome) for each in script.outcomes_on(lua)), outcome

        may_go_on.set()
        try:
            assert await neighbour is True
        except StateLostError:
            out_of_memory = isinstance(outcome, Raised) and outcome.kind is LuaMemoryLimitError
            assert out_of_memory or script.may_lose_state
        assert await pool.submit(NEIGHBOUR, False) is True
