"""What the parts share: rounds that alternate between the peers, and tables of the results."""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from statistics import median
from typing import Any

import lupa
import uvloop

LOOPS: dict[str, Callable[[Coroutine[Any, Any, Any]], Any]] = {
    "uvloop": uvloop.run,
    "asyncio": asyncio.run,
}


@dataclass
class Row:
    """What one peer reached in one measurement, a figure a round."""

    peer: str
    figures: list[float]

    @property
    def median(self) -> float:
        return median(self.figures)

    def __str__(self) -> str:
        low, high = min(self.figures), max(self.figures)
        return f"{self.median:9.2f}  ({low:.2f} to {high:.2f})"


async def alternate(
    peers: dict[str, Callable[[], Awaitable[float]]], rounds: int
) -> dict[str, Row]:
    """Run each peer once in each round, so that a change of the machine's mood meets all."""
    rows = {peer: Row(peer, []) for peer in peers}
    for peer in peers.values():
        await peer()  # Warm: threads started, code compiled.
    for _ in range(rounds):
        for name, peer in peers.items():
            rows[name].figures.append(await peer())
    return rows


def show(title: str, unit: str, rows: dict[str, Row], ours: str) -> None:
    """Print a table: each peer's figures, and how many times ours it needs."""
    print(f"\n{title}, {unit}: median (least to most), and times {ours}")
    for row in rows.values():
        times = "" if row.peer == ours else f"{row.median / rows[ours].median:8.2f} x"
        print(f"  {row.peer:<24}{row!s:<36}{times}")


def machine() -> str:
    """Describe what the figures were measured on."""
    return (
        f"Python {platform.python_version()}, lupa {lupa.__version__}, "
        f"uvloop {uvloop.__version__}, {sys.platform} {platform.machine()}"
    )
