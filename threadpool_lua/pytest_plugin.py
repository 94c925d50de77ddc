"""
The pytest plugin: the fixtures and the marker that docs/testing.md tells about.

pytest loads it in every run of an environment where the package is installed. So it imports no more
of the package than comes with that, and no Lua implementation, before a test uses it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterator
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .testing import LoopLag, OpenPool

_LIMIT = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the configuration."""
    parser.addini(
        "loop_lag_limit",
        "for how many seconds an async test may block its event loop at a time",
        default="",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and read the configuration."""
    config.addinivalue_line(
        "markers",
        "loop_lag(limit=0.1): fail the async test if it blocks its event loop for longer than "
        "`limit` seconds at a time.",
    )
    limit = config.getini("loop_lag_limit")
    if limit:
        try:
            config.stash[_LIMIT] = float(limit)
        except ValueError:
            raise pytest.UsageError(f"loop_lag_limit must be a number, not {limit!r}") from None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Have the test run in a `LoopLag` where a marker or the configuration says so."""
    if (
        not isinstance(item, pytest.Function)
        or (measure := _measurement(item)) is None
        or _is_trio(item.funcargs.get("anyio_backend"))
    ):
        return (yield)
    from .testing import LoopLagError

    # Where the plugins that run async tests find the coroutine function.
    holder: object = item
    name = "obj"
    if hasattr(item.obj, "hypothesis"):
        holder = item.obj.hypothesis
        name = "inner_test"
    function = getattr(holder, name)
    if not iscoroutinefunction(function):
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holder, name, _measured(function, measure))
        try:
            return (yield)
        except LoopLagError as error:
            # No frame of the test is in the traceback.
            raise pytest.fail.Exception(str(error), pytrace=False) from None


def _measurement(item: pytest.Item) -> Callable[[], LoopLag] | None:
    """Return what makes the `LoopLag` for a test, if it is to have one."""
    mark = item.get_closest_marker("loop_lag")
    limit = item.config.stash.get(_LIMIT, None)
    if mark is None and limit is None:
        return None
    from .testing import LoopLag

    if mark is not None:
        return functools.partial(LoopLag, *mark.args, **mark.kwargs)
    assert limit is not None
    return functools.partial(LoopLag, limit)


def _measured(function: Callable[..., Any], measure: Callable[[], LoopLag]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def measured(*args: Any, **kwargs: Any) -> Any:
        with measure():
            return await function(*args, **kwargs)

    return measured


def _is_trio(backend: object) -> bool:
    """Whether a value of anyio's fixture ``anyio_backend`` is trio."""
    return (backend[0] if isinstance(backend, tuple) else backend) == "trio"


def _skip_on_trio(request: pytest.FixtureRequest) -> None:
    if "anyio_backend" in request.fixturenames and _is_trio(
        request.getfixturevalue("anyio_backend")
    ):
        pytest.skip("threadpool_lua needs asyncio")


@pytest.fixture
def thread_pool_options() -> dict[str, Any]:
    """The arguments of the pools of ``thread_pool``; for tests to override."""
    return {}


@pytest.fixture
def thread_pool(request: pytest.FixtureRequest, thread_pool_options: dict[str, Any]) -> OpenPool:
    """`threadpool_lua.testing.open_pool`, with the options of ``thread_pool_options``."""
    _skip_on_trio(request)
    from .testing import open_pool

    return functools.partial(open_pool, **thread_pool_options)


@pytest.fixture
def loop_lag(request: pytest.FixtureRequest) -> type[LoopLag]:
    """`threadpool_lua.testing.LoopLag`."""
    _skip_on_trio(request)
    from .testing import LoopLag

    return LoopLag


@pytest.fixture
def no_pool_left_open() -> Iterator[None]:
    """`threadpool_lua.testing.no_pool_left_open`, around the test and its other fixtures."""
    from . import testing

    with testing.no_pool_left_open():
        yield
