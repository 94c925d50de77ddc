"""What several tests use."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st

from threadpool_lua import Chunk, ThreadPool

ROOT = Path(__file__).parent.parent


class Gate:
    """
    A named pipe at which a Lua task blocks its thread, in plain blocking Lua.

    ``pool.submit(gate.chunk)`` blocks a thread; `entered` waits until it does; `open` lets it go on
    and return "through".
    """

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.chunk = Chunk(
            f"local gate = io.open({str(path)!r}) gate:read('*a') gate:close() return 'through'",
            name="gate",
        )
        self._writer: int | None = None
        self._opened = False

    async def entered(self) -> None:
        """Wait until a task blocks at the gate."""
        async with asyncio.timeout(10):
            while not self._hold():
                await asyncio.sleep(0.001)

    def open(self) -> None:
        """Let the task that blocks at the gate go on; does nothing the second time."""
        if not self._opened and self._hold():
            assert self._writer is not None
            os.close(self._writer)
            self._opened = True

    def _hold(self) -> bool:
        if self._writer is None:
            try:
                # This fails for as long as nobody has the pipe open for reading.
                self._writer = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                return False
        return True


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so, with a bound on time."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)  # Not 0: a loop that spins keeps the GIL from the threads.


async def at_rest(pool: ThreadPool) -> None:
    """Wait until nothing of the pool's runs, waits or is paused."""

    def nothing_is_left() -> bool:
        now = pool.statistics()
        return now.in_flight == now.busy == now.paused == now.coroutines == 0

    await until(nothing_is_left)


def blocks_at(gate: Gate) -> str:
    """Return Lua code that blocks its thread at a gate, to be followed by more."""
    return f"io.open('{gate.path}'):read('*a')"


def run_python(source: str, *args: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a Python program in a process of its own, with what tells of crashes and leaks on."""
    return subprocess.run(
        [
            sys.executable,
            "-X",
            "faulthandler",
            "-W",
            "default",
            "-c",
            textwrap.dedent(source),
            *args,
        ],
        env={**os.environ, "PYTHONMALLOC": "debug"},
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=ROOT,
        check=False,
    )


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of the same types throughout, nan and -0.0 included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def examples(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Draw examples: hypothesis itself does not know how to await."""
    drawn: list[Any] = []

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(strategy)
    def draw(value: Any) -> None:
        drawn.append(value)

    draw()
    return drawn
