"""What a run has found: raw figures, as they are in the file that the page is made from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from pathlib import Path
from statistics import median

import msgspec

Figures = dict[str, float]  # what one measurement has found, by what it is: "µs per task"
Measure = Callable[[], Awaitable[Figures]]


class MissingError(Exception):
    """Raised where a contender cannot take part; says why."""


class Mode(Enum):
    """How thorough a run is."""

    FULL = "full"
    FAST = "fast"  # a first look: few rounds of small sizes
    TINY = "tiny"  # tests that everything runs: the figures mean nothing


class Row(msgspec.Struct):
    """What one contender reached at one size, a figure a round."""

    contender: str
    size: int | None
    figures: dict[str, list[float]]

    def add(self, figures: Figures) -> None:
        """Add those of one round."""
        for figure, value in figures.items():
            self.figures.setdefault(figure, []).append(value)

    def median(self, figure: str) -> float:
        return median(self.figures[figure])


class Comparison(msgspec.Struct):
    """Contenders that took turns, and, where there is an axis, at what sizes."""

    name: str  # of a picture's file
    title: str
    ours: str  # the contender that the others are compared to
    axis: str | None
    is_drawn: bool
    rows: list[Row] = []

    def row(self, contender: str, size: int | None = None) -> Row | None:
        """Return the row of a contender, if it took part."""
        for row in self.rows:
            if (row.contender, row.size) == (contender, size):
                return row
        return None

    def median(self, figure: str, contender: str, size: int | None = None) -> float:
        row = self.row(contender, size)
        assert row is not None
        return row.median(figure)

    @property
    def contenders(self) -> list[str]:
        return list(dict.fromkeys(row.contender for row in self.rows))

    @property
    def sizes(self) -> list[int | None]:
        sizes = {row.size for row in self.rows}
        return sorted(sizes, key=lambda size: size or 0)

    @property
    def figures(self) -> list[str]:
        return list(dict.fromkeys(figure for row in self.rows for figure in row.figures))


class Requirement(msgspec.Struct):
    """A bound, and the figure that was to keep to it."""

    what: str
    figure: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_met(self) -> bool:
        return (self.at_least is None or self.figure >= self.at_least) and (
            self.at_most is None or self.figure <= self.at_most
        )


class Section(msgspec.Struct):
    """What one function of a part has measured; its docstring tells what that is."""

    title: str
    text: str
    loop: str  # that it ran on
    comparisons: list[Comparison] = []
    requirements: list[Requirement] = []
    missing: dict[str, str] = {}  # contenders, and why


class Part(msgspec.Struct):
    """What one module has measured."""

    name: str
    title: str
    text: str
    sections: list[Section] = []


class Run(msgspec.Struct):
    """What one run has found, and on what."""

    command: str
    mode: Mode
    date: str
    machine: dict[str, str]
    versions: dict[str, str]
    seconds: float = 0
    parts: list[Part] = []

    def write(self, path: Path) -> None:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")

    @classmethod
    def read(cls, path: Path) -> Run:
        return msgspec.json.decode(path.read_bytes(), type=cls)
