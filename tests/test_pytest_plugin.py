"""The pytest plugin, and `threadpool_lua.testing`, which its fixtures hand out."""

from __future__ import annotations

import asyncio
import math
import re
import threading
import time
from collections.abc import Callable

import pytest

from threadpool_lua import PoolClosedError, ThreadPool, testing
from threadpool_lua.testing import LoopLag, LoopLagError, OpenPool, no_pool_left_open

from .helpers import ROOT, Gate

pytest_plugins = ["pytester"]

BRIEF = 0.01  # seconds; a limit on lag that is certainly passed
LONG = 0.2  # seconds for which the loop is blocked: enough for another thread to look at it


def blocks() -> None:
    time.sleep(LONG)


class TestLoopLag:
    async def test_of_a_loop_that_is_not_blocked_is_small(self, loop_lag: type[LoopLag]) -> None:
        with loop_lag(limit=60) as lag:
            await asyncio.sleep(BRIEF)
        assert 0 <= lag.longest < 60

    async def test_fails_and_says_for_how_long_and_where(self, loop_lag: type[LoopLag]) -> None:
        with pytest.raises(LoopLagError) as caught, loop_lag(limit=BRIEF) as lag:
            await asyncio.sleep(0)
            blocks()
        assert lag.longest > LONG / 2
        first, *lines = str(caught.value).splitlines()
        assert re.fullmatch(
            r"the event loop was blocked for [\d.]+ s, longer than 0.01 s, here:", first
        )
        # From what the loop called, and nothing before, to what blocked.
        assert re.fullmatch(rf'  File "{__file__}", line \d+, in test_fails_and.*', lines[0])
        assert lines[-1] == "    time.sleep(LONG)"

    async def test_counts_other_tasks(self, loop_lag: type[LoopLag]) -> None:
        async def other() -> None:
            blocks()

        with pytest.raises(LoopLagError) as caught, loop_lag(limit=BRIEF):
            await asyncio.create_task(other())
        lines = str(caught.value).splitlines()
        assert lines[1].endswith("in other")
        assert lines[-1] == "    time.sleep(LONG)"

    async def test_shows_what_blocked_for_longest(self, loop_lag: type[LoopLag]) -> None:
        with pytest.raises(LoopLagError) as caught, loop_lag(limit=BRIEF):
            time.sleep(LONG / 2)
            await asyncio.sleep(BRIEF)
            blocks()
            await asyncio.sleep(BRIEF)
            time.sleep(LONG / 2)
        assert str(caught.value).endswith("    time.sleep(LONG)")

    async def test_is_a_note_on_the_error_of_the_block(self, loop_lag: type[LoopLag]) -> None:
        with pytest.raises(KeyError) as caught, loop_lag(limit=BRIEF):
            blocks()
            raise KeyError("one")
        [note] = caught.value.__notes__
        assert note.startswith("the event loop was blocked")

    async def test_may_have_no_limit(self, loop_lag: type[LoopLag]) -> None:
        with loop_lag(limit=math.inf) as lag:
            blocks()
        assert lag.longest > LONG / 2

    async def test_leaves_no_thread_and_no_timer(self, loop_lag: type[LoopLag]) -> None:
        before = threading.active_count()
        with loop_lag(limit=60) as lag:
            assert threading.active_count() == before + 1
        assert threading.active_count() == before
        measured = lag.longest
        blocks()
        await asyncio.sleep(BRIEF)
        assert lag.longest == measured

    @pytest.mark.parametrize("limit", [0, -1, math.nan])
    def test_refuses_a_limit_that_is_none(self, limit: float) -> None:
        with pytest.raises(ValueError, match="limit must be more than 0, not"):
            LoopLag(limit)

    def test_needs_a_running_loop(self) -> None:
        with pytest.raises(RuntimeError, match="no running event loop"), LoopLag():
            pass


class TestThreadPool:
    async def test_is_closed_at_the_end_of_the_block(self, thread_pool: OpenPool) -> None:
        async with thread_pool("test", threads=1) as pool:
            future = pool.submit("return 1")
        assert future.result() == 1
        assert repr(pool) == "<ThreadPool 'test' threads=1 closed>"

    async def test_may_be_closed_by_the_test(self, thread_pool: OpenPool) -> None:
        async with thread_pool("test") as pool:
            await pool.aclose()

    async def test_says_which_tasks_are_left(
        self, thread_pool: OpenPool, gate: Callable[[], Gate]
    ) -> None:
        """Queued, running and paused ones; the code that runs cannot be stopped."""
        blocked = gate()
        functions = {"forever": asyncio.Event().wait}
        with pytest.raises(AssertionError) as caught:
            async with thread_pool("left", timeout=0.1, threads=1, functions=functions) as pool:
                paused = [pool.submit("host.forever()") for _ in range(2)]
                while pool.statistics().paused < 2:
                    await asyncio.sleep(0.001)
                left = [*paused, pool.submit(blocked.chunk), pool.submit("return 1")]
                await blocked.entered()
        assert str(caught.value) == (
            'thread pool "left" has tasks left 0.1 s after its block: '
            "1 running (<Chunk 'gate'>), 2 paused (<Chunk 'host.forever()'>), 1 waiting"
        )
        for future in left:
            assert isinstance(future.exception(), PoolClosedError)

    async def test_lets_the_error_of_the_block_out(self, thread_pool: OpenPool) -> None:
        functions = {"forever": asyncio.Event().wait}
        with pytest.raises(KeyError):
            async with thread_pool("error", threads=1, functions=functions) as pool:
                paused = pool.submit("host.forever()")
                raise KeyError
        assert paused.cancelled()


class TestOptions:
    @pytest.fixture
    def thread_pool_options(self, lua: str) -> dict[str, object]:
        return {"threads": 3, "lua": lua}

    async def test_are_those_of_every_pool(self, thread_pool: OpenPool, lua: str) -> None:
        async with thread_pool() as pool:
            assert "'default' threads=3" in repr(pool)
            assert (
                await pool.submit("return _VERSION")
                == {
                    "luajit21": "Lua 5.1",
                    "lua54": "Lua 5.4",
                }[lua]
            )

    async def test_give_way_to_those_of_the_test(self, thread_pool: OpenPool) -> None:
        async with thread_pool("mine", threads=1) as pool:
            assert "'mine' threads=1" in repr(pool)


class TestNoPoolLeftOpen:
    async def test_fails_for_a_pool_that_is_open(self) -> None:
        pools = [ThreadPool(name, threads=2) for name in ("two", "one")]
        with (
            pytest.raises(
                AssertionError, match='^left open: thread pool "one", thread pool "two"$'
            ),
            no_pool_left_open(),
        ):
            for pool in pools:
                await pool.open()
        for pool in pools:
            await pool.aclose()

    async def test_lets_pools_be_that_were_open_before(self) -> None:
        async with ThreadPool("before", threads=2):
            with no_pool_left_open():
                pass

    async def test_fails_for_code_that_does_not_end(
        self, gate: Callable[[], Gate], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(testing, "_TO_LEAVE", 0.05)
        blocked = gate()
        with (
            pytest.raises(AssertionError, match='^closed, but still running: thread pool "stuck"$'),
            no_pool_left_open(),
        ):
            async with ThreadPool("stuck", threads=2) as pool:
                future = pool.submit(blocked.chunk)
                await blocked.entered()
                await pool.aclose(timeout=0)
        blocked.open()
        assert isinstance(future.exception(), PoolClosedError)


COMMON = """
    import asyncio
    import math
    import time

    import hypothesis
    import pytest

    def blocks():
        time.sleep(0.1)

    async def use(thread_pool, loop_lag):
        with loop_lag(limit=60):
            async with thread_pool("inner", threads=1) as pool:
                assert await pool.submit("return ...", 7) == 7
"""
ASYNCIO = """
    @pytest.mark.asyncio
    async def test_marked(thread_pool, loop_lag):
        await use(thread_pool, loop_lag)

    async def test_unmarked(thread_pool, loop_lag):
        await use(thread_pool, loop_lag)
"""
ANYIO = """
    @pytest.mark.anyio
    @pytest.mark.parametrize(
        "anyio_backend",
        [
            pytest.param("trio", id="trio"),
            pytest.param(("trio", {}), id="trio_with_options"),
            pytest.param("asyncio", id="asyncio"),
            pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
        ],
    )
    async def test_any(thread_pool, loop_lag, request):
        loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
        assert loop == request.node.callspec.id
        await use(thread_pool, loop_lag)
"""


def run(pytester: pytest.Pytester, source: str, *args: str) -> pytest.RunResult:
    """Run tests within this process; one of its own would take a second."""
    pytester.makepyfile(COMMON + source)
    scope = "asyncio_default_fixture_loop_scope=function"
    return pytester.runpytest_inprocess("-rs", "-p", "no:cacheprovider", "-o", scope, *args)


def test_the_fixtures_work_with_pytest_asyncio_alone(pytester: pytest.Pytester) -> None:
    """In both of its modes; the strict one leaves out what has no mark."""
    strict = run(pytester, ASYNCIO, "-p", "no:anyio", "-k", "test_marked")
    strict.assert_outcomes(passed=1, deselected=1)
    auto = run(pytester, ASYNCIO, "-p", "no:anyio", "--asyncio-mode=auto")
    auto.assert_outcomes(passed=2)


@pytest.mark.parametrize("args", [[], ["-p", "no:asyncio"]], ids=["with_the_other", "alone"])
def test_the_fixtures_work_with_anyios_plugin(pytester: pytest.Pytester, args: list[str]) -> None:
    done = run(pytester, ANYIO, *args)
    done.assert_outcomes(passed=2, skipped=2)
    done.stdout.fnmatch_lines("SKIPPED * threadpool_lua needs asyncio")


MARKED = """
    @pytest.mark.loop_lag(0.02)
    class TestMarked:
        @pytest.mark.asyncio
        async def test_asyncio(self):
            blocks()

        @pytest.mark.anyio
        async def test_anyio(self):  # and on trio it passes: there is no loop to measure
            blocks()

        @pytest.mark.loop_lag(limit=math.inf)
        @pytest.mark.asyncio
        async def test_other_limit(self):
            blocks()

        def test_sync(self):
            blocks()

        @pytest.mark.asyncio
        async def test_other_error(self):
            blocks()
            assert not "this"

    @pytest.mark.loop_lag(0.02)
    @pytest.mark.asyncio
    @hypothesis.settings(max_examples=1, database=None, deadline=None)
    @hypothesis.given(number=hypothesis.strategies.just(1))
    async def test_hypothesis(number):
        blocks()
"""


def test_the_marker_measures_tests_of_both_plugins(pytester: pytest.Pytester) -> None:
    done = run(pytester, MARKED)
    done.assert_outcomes(passed=3, failed=4)
    measured = ["TestMarked.test_asyncio", "TestMarked.test_anyio?asyncio?", "test_hypothesis"]
    for test in measured:
        done.stdout.fnmatch_lines([f"*_ {test} _*", "*the event loop was blocked for *, here:"])
    # What the test fails for comes first.
    done.stdout.fnmatch_lines(["*_ TestMarked.test_other_error _*", "E * assert not 'this'"])
    done.stdout.fnmatch_lines("E * the event loop was blocked for *, here:")


def test_the_setting_measures_all_async_tests(pytester: pytest.Pytester) -> None:
    source = """
    @pytest.mark.asyncio
    async def test_measured():
        blocks()

    @pytest.mark.asyncio
    @pytest.mark.loop_lag(limit=60)
    async def test_with_a_marker():
        blocks()

    def test_sync():
        blocks()
    """
    run(pytester, source).assert_outcomes(passed=3)
    done = run(pytester, source, "-o", "loop_lag_limit=0.02")
    done.assert_outcomes(passed=2, failed=1)
    done.stdout.fnmatch_lines(["*_ test_measured _*", "the event loop was blocked for *"])


def test_a_setting_that_is_no_number_is_refused(pytester: pytest.Pytester) -> None:
    done = run(pytester, "", "-o", "loop_lag_limit=little")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines("ERROR: loop_lag_limit must be a number, not 'little'")


def test_the_fixture_no_pool_left_open_sees_pools_of_the_code_under_test(
    pytester: pytest.Pytester,
) -> None:
    source = """
    from threadpool_lua import ThreadPool

    pytestmark = pytest.mark.asyncio(loop_scope="module")
    pool = ThreadPool("service", threads=1)

    async def test_that_opens_it(no_pool_left_open):
        await pool.open()

    async def test_that_closes_it(no_pool_left_open):
        await pool.aclose()

    async def test_that_does_both(no_pool_left_open):
        async with ThreadPool(threads=1):
            pass
    """
    done = run(pytester, source)
    done.assert_outcomes(passed=3, errors=1)
    done.stdout.fnmatch_lines('E *AssertionError: left open: thread pool "service"')


def test_a_run_without_it_loads_no_lua(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_without():
            assert "threadpool_lua.pytest_plugin" in sys.modules  # by the entry point
            assert not {"threadpool_lua.testing", "lupa"} & set(sys.modules)
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_examples_of_the_guide_run_and_fail_as_it_says(pytester: pytest.Pytester) -> None:
    page = (ROOT / "docs" / "testing.md").read_text()
    files = dict(re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", page, re.M | re.S))
    assert len(files) >= 9
    for name, source in files.items():
        (pytester.path / name).write_text(f"# {name}\n{source}")
    done = pytester.runpytest_subprocess("-o", "asyncio_default_fixture_loop_scope=function")
    done.assert_outcomes(passed=11, failed=1)
    [told] = re.findall(r"^```text\n(the event loop.*?)^```", page, re.M | re.S)
    expected = told.replace("0.3 s", "0.* s").replace('File "', 'File "*')
    done.stdout.fnmatch_lines(expected.splitlines(), consecutive=True)
