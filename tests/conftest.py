"""Fixtures. Every async test runs on asyncio and on uvloop, most on two Lua implementations."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop

from threadpool_lua import ThreadPool
from threadpool_lua._implementation import NAMES
from threadpool_lua.testing import OpenPool

from .helpers import Gate

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--loop", choices=LOOPS, help="run async tests on this loop only")
    parser.addoption("--lua", choices=NAMES, help="run tests of one Lua implementation on this one")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    only = config.getoption("--lua")
    if only is None:
        return
    kept, deselected = [], []
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        (kept if params.get("lua", only) == only else deselected).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=deselected)


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
async def pool(thread_pool: OpenPool, lua: str) -> AsyncIterator[ThreadPool]:
    """An open pool of two threads."""
    async with thread_pool("test", threads=2, lua=lua) as pool:
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


def required(what: str) -> None:
    """Skip a test for want of something that CI installs, and fail it there."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI must have it", pytrace=False)
    pytest.skip(f"{what} is missing")
