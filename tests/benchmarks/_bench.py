"""A run: has the contenders of each part take turns, and keeps what they reach."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from types import ModuleType
from typing import TypeVar

import uvloop
from tqdm import tqdm

from ._measure import in_a_process
from ._pages import section_lines
from ._results import (
    Comparison,
    Figures,
    Measure,
    MissingError,
    Mode,
    Part,
    Requirement,
    Row,
    Section,
)

LOOPS = {"uvloop": uvloop.run, "asyncio": asyncio.run}
ROUNDS = {Mode.FULL: 7, Mode.FAST: 3, Mode.TINY: 1}

T = TypeVar("T")
Key = tuple[str, int | None]  # a contender, and the size where there are several


class Bench:
    """
    What the sections of a part measure with.

    Args:
        mode: how thorough to be.
        section: what to add the findings to.
        name: what the names of pictures begin with.
        seconds: how long what goes on for a time does so, where that is not left to the mode.
    """

    def __init__(self, mode: Mode, section: Section, name: str, seconds: float | None) -> None:
        self._mode = mode
        self._seconds = seconds
        self._section = section
        self._name = name

    def pick(self, *, full: T, fast: T, tiny: T) -> T:
        """Return a size: that of the run's mode."""
        return {Mode.FULL: full, Mode.FAST: fast, Mode.TINY: tiny}[self._mode]

    def duration(self, *, full: float, fast: float, tiny: float) -> float:
        """Return for how many seconds to go on."""
        chosen = self.pick(full=full, fast=fast, tiny=tiny)
        return chosen if self._seconds is None else self._seconds

    async def apart(self, function: Callable[..., Figures], *arguments: object) -> Figures:
        """Call a function in a process of its own, which has nothing of what others have left."""
        if self._mode is Mode.TINY:  # Processes take their time to start.
            return await asyncio.to_thread(function, *arguments)
        return in_a_process(function, *arguments)

    @asynccontextmanager
    async def open(
        self, contenders: Mapping[str, Callable[[], AbstractAsyncContextManager[T]]]
    ) -> AsyncIterator[dict[str, T]]:
        """Enter all that can take part, and note those that cannot."""
        async with AsyncExitStack() as stack:
            opened = {}
            for name, contender in contenders.items():
                try:
                    opened[name] = await stack.enter_async_context(contender())
                except MissingError as why:
                    self._section.missing[name] = str(why)
            yield opened

    async def compare(
        self,
        contenders: Mapping[str, Measure],
        *,
        ours: str,
        title: str = "",
        rounds: int | None = None,
        warm: bool = True,
        draw: bool = True,
    ) -> Comparison:
        """
        Have contenders take turns, so that a change of the machine's mood meets all.

        Args:
            contenders: how each measures itself.
            ours: the one that the others are compared to.
            title: what sets this apart from the section's other comparisons.
            rounds: how often each has its turn; by default as the mode says.
            warm: whether there is a round before that does not count: threads start, code is
                compiled.
            draw: whether it makes a picture.
        """
        comparison = Comparison(self._named(title), title, ours, None, draw)
        measures: dict[Key, Measure] = {
            (name, None): measure for name, measure in contenders.items()
        }
        return await self._take_turns(comparison, measures, rounds, list(measures) if warm else [])

    async def grow(
        self,
        contenders: Mapping[str, Callable[[int], Awaitable[Figures]]],
        sizes: Sequence[int],
        *,
        axis: str,
        ours: str,
        title: str = "",
        rounds: int | None = None,
        warm: bool = True,
    ) -> Comparison:
        """
        Have contenders take turns at each of some sizes, from the smallest on.

        It is as `compare`, but the warm round is of the smallest size. A contender may raise
        `MissingError` at sizes that are too much for it.
        """
        comparison = Comparison(self._named(title), title, ours, axis, True)
        measures: dict[Key, Measure] = {
            (name, size): partial(measure, size)
            for size in sizes
            for name, measure in contenders.items()
        }
        smallest = [key for key in measures if warm and key[1] == sizes[0]]
        return await self._take_turns(comparison, measures, rounds, smallest)

    def require(
        self,
        what: str,
        figure: float,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        """Note what is required of a figure."""
        self._section.requirements.append(Requirement(what, figure, at_least, at_most))

    async def _take_turns(
        self,
        comparison: Comparison,
        measures: Mapping[Key, Measure],
        rounds: int | None,
        warm: Sequence[Key],
    ) -> Comparison:
        rows = {key: Row(*key, {}) for key in measures}
        missing: dict[Key, str] = {}
        rounds = ROUNDS[self._mode] if rounds is None else rounds
        turns = [*([] if self._mode is Mode.TINY else warm), *(list(measures) * rounds)]
        left_out = len(turns) - len(measures) * rounds
        # None: where there is no terminal, there is no bar.
        for turn, key in enumerate(bar := tqdm(turns, desc=comparison.name, disable=None)):
            contender, size = key
            bar.set_postfix_str(f"{contender} {size or ''}")
            if key in missing:
                continue
            try:
                figures = await measures[key]()
            except MissingError as why:
                del rows[key]
                missing[key] = str(why)
                continue
            if turn >= left_out:
                rows[key].add(figures)
        comparison.rows = list(rows.values())
        for (contender, size), reason in missing.items():
            takes_part = contender in comparison.contenders
            name = f"{contender}, {size:,} {comparison.axis}" if takes_part else contender
            self._section.missing[name] = reason
        self._section.comparisons.append(comparison)
        return comparison

    def _named(self, title: str) -> str:
        words = f"{self._name} {self._section.title} {title} {self._section.loop}".lower()
        return re.sub(r"[^a-z0-9]+", "-", words).strip("-")


def run(module: ModuleType, mode: Mode, seconds: float | None = None) -> Part:
    """
    Run one part.

    Args:
        module: its docstring tells what it measures, each of its `SECTIONS` measures something, on
            each of the loops that its `ON` names.
        mode: how thorough to be.
        seconds: how long what goes on for a time does so, where that is not left to the mode.
    """
    name = module.__name__.rpartition(".")[2]
    part = Part(name, *_described(module))
    for function in module.SECTIONS:
        for loop in module.ON:
            section = Section(*_described(function), loop)
            part.sections.append(section)
            LOOPS[loop](function(Bench(mode, section, name, seconds)))
            print("\n".join(("", *section_lines(section))), flush=True)
    return part


def _described(thing: ModuleType | Callable[[Bench], Awaitable[None]]) -> tuple[str, str]:
    """Return the title and the text that a docstring holds."""
    title, _, text = (inspect.getdoc(thing) or "").partition("\n\n")
    return title.replace("\n", " ").removesuffix("."), text
