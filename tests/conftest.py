"""Fixtures. Every async test runs on asyncio and on uvloop, most on two Lua implementations."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop

from threadpool_lua import ThreadPool

from .helpers import Gate

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--loop", choices=LOOPS, help="run async tests on this loop only")


def pytest_asyncio_loop_factories(
    config: pytest.Config,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    only = config.getoption("--loop")
    return {name: factory for name, factory in LOOPS.items() if only in (None, name)}


@pytest.fixture(params=["luajit21", "lua54"])
def lua(request: pytest.FixtureRequest) -> str:
    """The Lua implementations that the suite runs on in full."""
    name: str = request.param
    return name


@pytest.fixture
async def pool(lua: str) -> AsyncIterator[ThreadPool]:
    """An open pool of two threads."""
    async with ThreadPool("test", threads=2, lua=lua) as pool:
        yield pool


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Callable[[], Gate]]:
    """Makes gates, at which a Lua task blocks its thread until the test opens them."""
    gates: list[Gate] = []

    def make() -> Gate:
        gates.append(Gate(tmp_path / f"gate-{len(gates)}"))
        return gates[-1]

    yield make
    for made in gates:
        made.open()


@pytest.fixture(autouse=True)
def no_thread_left_over() -> Iterator[None]:
    """Fail a test after which a thread of a pool is still there."""
    yield
    left = [t for t in threading.enumerate() if t.name.startswith("threadpool_lua")]
    for thread in left:
        thread.join(timeout=5)
    assert not [thread.name for thread in left if thread.is_alive()]


def required(what: str) -> None:
    """Skip a test for want of something that CI installs, and fail it there."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI must have it", pytrace=False)
    pytest.skip(f"{what} is missing")
