"""The benchmarks run, and their figures become a page. What the figures say means nothing here."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from . import benchmarks
from .benchmarks._bench import Bench, run as run_part
from .benchmarks._machine import machine, versions
from .benchmarks._measure import in_a_process
from .benchmarks._pages import page
from .benchmarks._results import (
    Comparison,
    Figures,
    MissingError,
    Mode,
    Part,
    Requirement,
    Row,
    Run,
    Section,
)


@pytest.mark.parametrize("name", benchmarks.PARTS)
def test_a_part_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module(f"{benchmarks.__name__}.{name}")
    monkeypatch.setattr(module, "ON", module.ON[:1])

    part = run_part(module, Mode.TINY)

    assert part.title and part.text
    assert part.sections
    for section in part.sections:
        assert section.title
        assert section.comparisons
        for comparison in section.comparisons:
            assert comparison.rows or section.missing
            for row in comparison.rows:
                assert row.figures
                assert all(len(figures) == 1 for figures in row.figures.values())


@pytest.fixture
def run() -> Run:
    """A run in which the pool took half of what its peer did."""
    bars = Comparison(
        "bars",
        "",
        "ours",
        None,
        True,
        [Row("ours", None, {"µs": [1.0, 2.0, 3.0]}), Row("theirs", None, {"µs": [4.0]})],
    )
    lines = Comparison(
        "lines",
        "by size",
        "ours",
        "bytes",
        True,
        [Row("ours", size, {"µs": [size / 2]}) for size in (1, 1000)],
    )
    section = Section(
        "A section",
        "What it measures.",
        "uvloop",
        [bars, lines],
        [Requirement("met", 1, at_most=2), Requirement("not met", 1, at_least=2)],
        {"nginx": "not installed"},
    )
    part = Part("part", "A part: of all", "What it is about.", [section])
    return Run("make bench", Mode.FULL, "2026-01-31", machine(), versions(), 60, [part])


def test_the_page_tells_ratios_first_and_what_is_missing(run: Run) -> None:
    lines = [" ".join(line.split()) for line in page(run, "pictures").splitlines()]

    assert "Made by `make bench` on 2026-01-31, in 1 minutes." in lines
    assert "| **ours** | 2 (1 to 3) |" in lines
    assert "| theirs | 2 x: 4 |" in lines
    assert "| 1,000 | 500 |" in lines
    assert "![A section: by size](pictures/lines.svg)" in lines
    assert "| A part | uvloop | met | at most 2 | 1 | met |" in lines
    assert "- required: not met, at least 2, 1, **not met**" in lines
    assert "- missing: nginx: not installed" in lines


def test_raw_figures_are_read_as_they_were_written(run: Run, tmp_path: Path) -> None:
    run.write(tmp_path / "figures.json")

    assert Run.read(tmp_path / "figures.json") == run


def test_each_comparison_has_its_picture(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from .benchmarks._plots import draw

    (tmp_path / "of-another-run.svg").touch()
    draw(run, tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {"bars.svg", "lines.svg"}
    assert "theirs" in (tmp_path / "bars.svg").read_text()


async def test_a_contender_that_cannot_take_part_is_named() -> None:
    async def measure(size: int) -> Figures:
        return {"size": size}

    async def small(size: int) -> Figures:
        if size > 1:
            raise MissingError("too large")
        return {"size": size}

    async def never(_: int) -> Figures:
        raise MissingError("not installed")

    section = Section("section", "", "uvloop")
    bench = Bench(Mode.TINY, section, "part", None)
    found = await bench.grow(
        {"ours": measure, "small": small, "never": never}, (1, 2), axis="bytes", ours="ours"
    )

    assert {(row.contender, row.size) for row in found.rows} == {
        ("ours", 1),
        ("ours", 2),
        ("small", 1),
    }
    assert section.missing == {"small, 2 bytes": "too large", "never": "not installed"}


def test_a_process_of_its_own_gives_back_its_figures() -> None:
    assert in_a_process(divmod, 7, 2) == (3, 1)
