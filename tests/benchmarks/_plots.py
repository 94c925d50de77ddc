"""The pictures that a run's figures make, as SVG."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from ._results import Comparison, Run

OURS, OTHERS = "#1f6feb", "#a8b0b8"
LINES = ("#d4731a", "#2a9d5c", "#8957e5", "#c93c5c", "#6e7781", "#b8860b")
WIDTH = 8.0  # inches
BAR, GROWN = 0.26, 3.0
MOST_COLUMNS = 3
WIDE_RANGE = 20  # times from which on an axis is logarithmic

# Text stays text, and the same figures make the same file.
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "benchmarks", "font.size": 8})


def draw(run: Run, folder: Path) -> None:
    """Draw all comparisons that are to be drawn, and remove what other runs have drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    for part in run.parts:
        for section in part.sections:
            for comparison in section.comparisons:
                if comparison.is_drawn:
                    figure = _drawn(comparison)
                    figure.savefig(folder / f"{comparison.name}.svg", metadata={"Date": None})


def _drawn(comparison: Comparison) -> Figure:
    """Return a picture with a panel for each figure."""
    count = len(comparison.figures)
    columns = count if count <= MOST_COLUMNS else math.ceil(count / 2)
    rows = math.ceil(count / columns)
    is_grown = comparison.axis is not None
    height = GROWN if is_grown else 0.6 + BAR * len(comparison.contenders)
    figure = Figure(figsize=(WIDTH, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, sharey=not is_grown, squeeze=False).flat
    for panel, axis in zip(comparison.figures, axes, strict=False):
        (_lines if is_grown else _bars)(axis, comparison, panel)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25, linewidth=0.5)
        axis.set_axisbelow(True)
    if is_grown:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    else:
        axes[0].invert_yaxis()
    return figure


def _bars(axis: Axes, comparison: Comparison, figure: str) -> None:
    rows = [row for row in comparison.rows if figure in row.figures]
    medians = [row.median(figure) for row in rows]
    spread = [
        [middle - min(row.figures[figure]) for middle, row in zip(medians, rows, strict=True)],
        [max(row.figures[figure]) - middle for middle, row in zip(medians, rows, strict=True)],
    ]
    axis.barh(
        [row.contender for row in rows],
        medians,
        xerr=spread,
        color=[OURS if row.contender == comparison.ours else OTHERS for row in rows],
        error_kw={"linewidth": 0.8},
    )
    axis.set_xscale(_scale(medians))
    _label(axis.xaxis, figure)


def _lines(axis: Axes, comparison: Comparison, figure: str) -> None:
    colours = iter(LINES * len(comparison.contenders))
    for contender in comparison.contenders:
        rows = [
            row for row in comparison.rows if row.contender == contender and figure in row.figures
        ]
        sizes = [row.size for row in rows]
        is_ours = contender == comparison.ours
        colour = OURS if is_ours else next(colours)
        axis.plot(
            sizes,
            [row.median(figure) for row in rows],
            color=colour,
            label=contender,
            linewidth=2 if is_ours else 1,
            marker="o",
            markersize=3,
        )
        axis.fill_between(
            sizes,
            [min(row.figures[figure]) for row in rows],
            [max(row.figures[figure]) for row in rows],
            color=colour,
            alpha=0.15,
            linewidth=0,
        )
    axis.set_xscale("log")
    axis.set_xticks(comparison.sizes)
    axis.xaxis.set_minor_locator(NullLocator())
    _label(axis.xaxis, comparison.axis)
    scale = _scale([row.median(figure) for row in comparison.rows if figure in row.figures])
    axis.set_yscale(scale)
    if scale == "linear":
        axis.set_ylim(bottom=0)
    _label(axis.yaxis, figure)


def _scale(figures: list[float]) -> str:
    return "log" if min(figures) > 0 and max(figures) / min(figures) > WIDE_RANGE else "linear"


def _label(axis: Axis, what: str) -> None:
    axis.set_major_formatter(FuncFormatter(_plain))
    axis.set_minor_formatter(NullFormatter())
    axis.set_label_text(what)


def _plain(number: float, _: int) -> str:
    """Return 1,000,000 as 1M."""
    for factor, letter in (1e6, "M"), (1e3, "k"):
        if number >= factor:
            return f"{number / factor:g}{letter}"
    return f"{number:g}"
