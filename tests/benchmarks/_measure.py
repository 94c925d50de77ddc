"""What the parts share: ways to measure, rounds that alternate between the peers, and tables."""

from __future__ import annotations

import asyncio
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import lupa
import uvloop

LOOPS: dict[str, Callable[[Coroutine[Any, Any, Any]], Any]] = {
    "uvloop": uvloop.run,
    "asyncio": asyncio.run,
}
IN_FLIGHT = 100
TICK = 0.001  # seconds
MEGABYTE = 1e6


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


async def one_after_the_other(submit: Callable[[], Awaitable[Any]], count: int) -> None:
    """Await `count` calls of `submit`."""
    for _ in range(count):
        await submit()


async def in_flight(work: Callable[[int], Awaitable[Any]], count: int = 400) -> float:
    """Have `work` do something `count` times, in many tasks at once; return what each costs, µs."""
    start = perf_counter()
    await asyncio.gather(*(work(count) for _ in range(IN_FLIGHT)))
    return (perf_counter() - start) / (count * IN_FLIGHT) * 1e6


@asynccontextmanager
async def largest_gap(gaps: list[float]) -> AsyncIterator[None]:
    """Append the longest time between two ticks of a timer, in milliseconds."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        last = perf_counter()
        while True:
            await asyncio.sleep(TICK)
            now = perf_counter()
            longest = max(longest, now - last)
            last = now

    ticker = asyncio.ensure_future(tick())
    await asyncio.sleep(10 * TICK)
    try:
        yield
        # A gap that lasts to the end has to be seen by a tick.
        await asyncio.sleep(2 * TICK)
    finally:
        ticker.cancel()
        gaps.append(longest * 1000)


def memory(what: str) -> float:
    """Return the bytes that this process has ("VmRSS") or has had at most ("VmHWM")."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return math.nan  # Only Linux tells.
    return int(status.partition(f"{what}:")[2].split()[0]) * 1024


def forget_peak_of_memory() -> None:
    """Have "VmHWM" count from now on."""
    clear_refs = Path("/proc/self/clear_refs")
    if clear_refs.exists():
        clear_refs.write_text("5")


def duration(default: float) -> float:
    """Return how many seconds a part that goes on for a time does so: see `__main__`."""
    return float(os.environ.get("BENCH_SECONDS", default))


def in_a_process_of_its_own(part: str, *arguments: str, timeout: float) -> dict[str, float]:
    """Run a part as a program, and return the figures that it prints as JSON."""
    completed = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{part}", *arguments],
        stdout=subprocess.PIPE,
        timeout=timeout,
        check=True,
    )
    figures: dict[str, float] = json.loads(completed.stdout)
    return figures


async def alternate(
    peers: dict[str, Callable[[], Awaitable[float]]], rounds: int, warm: bool = True
) -> dict[str, Row]:
    """Run each peer once in each round, so that a change of the machine's mood meets all."""
    rows = {peer: Row(peer, []) for peer in peers}
    if warm:
        for peer in peers.values():
            await peer()  # Threads started, code compiled.
    for _ in range(rounds):
        for name, peer in peers.items():
            rows[name].figures.append(await peer())
    return rows


def show(title: str, unit: str, rows: dict[str, Row], ours: str) -> None:
    """Print a table: how many times ours each peer needs, and its figures."""
    print(f"\n{title}, {unit}: times {ours}, and median (least to most)")
    for row in rows.values():
        times = "" if row.peer == ours else f"{row.median / rows[ours].median:.2f} x"
        print(f"  {row.peer:<28}{times:>9}  {row}")


def require(what: str, figure: float, limit: float) -> None:
    """Print what is required of a figure, next to the figure."""
    verdict = "met" if figure <= limit else "NOT met"
    print(f"  required: {what}, at most {limit:g}: {figure:.2f}, {verdict}")


def machine() -> str:
    """Describe what the figures were measured on."""
    return (
        f"Python {platform.python_version()}, lupa {lupa.__version__}, "
        f"uvloop {version('uvloop')}, {sys.platform} {platform.machine()}"
    )
