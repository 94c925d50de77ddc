"""The page that a run's figures make, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ._results import Comparison, Mode, Requirement, Row, Run, Section

INTRODUCTION = """\
# Benchmarks

In each comparison the contenders took turns within one run. A cell tells how many times the figure
of the one in bold a contender reached, then its median, and in brackets its least and its most.
Compare ratios: absolute figures differ from machine to machine, and on one from day to day.
"""
FIRST_LOOK = "This run was a quick one, for a first look: few rounds of small sizes.\n"


def page(run: Run, pictures: str) -> str:
    """Return the page; `pictures` is the address of the folder that has those of `_plots.draw`."""
    lines = [INTRODUCTION]
    if run.mode is not Mode.FULL:
        lines.append(FIRST_LOOK)
    lines.append(f"Made by `{run.command}` on {run.date}, in {_number(run.seconds / 60)} minutes.")
    lines.append(f"The raw figures are in `{pictures}/figures.json`.\n")
    lines += _table(["", ""], (run.machine | run.versions).items())
    lines += ["", "## What is required", "", *_requirements(run)]
    for part in run.parts:
        lines += ["", f"## {part.title}", "", part.text]
        for section in part.sections:
            lines += ["", *section_lines(section, pictures)]
    return "\n".join(lines) + "\n"


def section_lines(section: Section, pictures: str | None = None) -> Iterator[str]:
    """Return what there is to say of a section."""
    yield f"### {section.title}, on {section.loop}"
    if section.text:
        yield from ("", section.text)
    for comparison in section.comparisons:
        if comparison.title:
            yield from ("", f"**{comparison.title}**")
        if pictures is not None and comparison.is_drawn:
            described = f"{section.title}: {comparison.title}".removesuffix(": ")
            yield from ("", f"![{described}]({pictures}/{comparison.name}.svg)")
        yield from _comparison(comparison)
    if section.requirements:
        yield ""
    for requirement in section.requirements:
        yield f"- required: {', '.join(_judged(requirement))}"
    if section.missing:
        yield ""
    for contender, why in section.missing.items():
        yield f"- missing: {contender}: {why}"


def _requirements(run: Run) -> Iterator[str]:
    rows = [
        [part.title.partition(":")[0], section.loop, *_judged(requirement)]
        for part in run.parts
        for section in part.sections
        for requirement in section.requirements
    ]
    yield from _table(["part", "on", "required", "bound", "reached", ""], rows)


def _judged(requirement: Requirement) -> list[str]:
    bounds = []
    if requirement.at_least is not None:
        bounds.append(f"at least {_number(requirement.at_least)}")
    if requirement.at_most is not None:
        bounds.append(f"at most {_number(requirement.at_most)}")
    verdict = "met" if requirement.is_met else "**not met**"
    return [requirement.what, *bounds, _number(requirement.figure), verdict]


def _comparison(comparison: Comparison) -> Iterator[str]:
    """Return the table, or with an axis a table for each figure."""
    figures = comparison.figures
    names = [_name(comparison, contender) for contender in comparison.contenders]
    if comparison.axis is not None:
        for figure in figures:
            rows = [[f"{size:,}", *_cells(comparison, figure, size)] for size in comparison.sizes]
            yield from ("", *_table([f"{figure}, by {comparison.axis}", *names], rows))
        return
    # The one way or the other, so that the table is longer than it is wide.
    columns = [_cells(comparison, figure) for figure in figures]
    if len(names) >= len(figures):
        head = figures
        rows = [[*row] for row in zip(names, *columns, strict=True)]
    else:
        head = names
        rows = [[figure, *cells] for figure, cells in zip(figures, columns, strict=True)]
    yield from ("", *_table(["", *head], rows))


def _cells(comparison: Comparison, figure: str, size: int | None = None) -> list[str]:
    return [
        _cell(comparison, figure, comparison.row(contender, size))
        for contender in comparison.contenders
    ]


def _name(comparison: Comparison, contender: str) -> str:
    return f"**{contender}**" if contender == comparison.ours else contender


def _cell(comparison: Comparison, figure: str, row: Row | None) -> str:
    if row is None or figure not in row.figures:
        return ""
    figures = row.figures[figure]
    said = _number(row.median(figure))
    ours = comparison.row(comparison.ours, row.size)
    if ours is not None and ours is not row and ours.median(figure):
        said = f"{_number(row.median(figure) / ours.median(figure))} x: {said}"
    if len(figures) > 1:
        said += f" ({_number(min(figures))} to {_number(max(figures))})"
    return said


def _number(number: float) -> str:
    """Return a number with three digits, or with all that it has before the point."""
    size = abs(number)
    if size >= 100 or number == round(number):
        return f"{number:,.0f}"
    return f"{number:.1f}" if size >= 10 else f"{number:.2f}" if size >= 0.1 else f"{number:.2g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    table = [list(head), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |"
        for row in table
    ]
    lines.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    return lines
