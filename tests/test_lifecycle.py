"""What happens to a pool when something else ends first: each in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

from .helpers import ROOT, run_python

PRELUDE = """
import asyncio, gc, os, signal, sys, threading, time, warnings
import uvloop
from threadpool_lua import *

run = {"asyncio": asyncio.run, "uvloop": uvloop.run}[sys.argv[1]]
ENDLESS = "while true do end"

def pool_threads():
    return [t for t in threading.enumerate() if t.name.startswith("threadpool_lua")]

def wait_until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)

def thread_is_in_lua(pool):
    return any(worker.task is not None for worker in pool._threads.workers)
"""


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def program(source: str, loop: str) -> subprocess.CompletedProcess[str]:
    return run_python(PRELUDE + textwrap.dedent(source), loop)


def assert_quiet(done: subprocess.CompletedProcess[str], stdout: str = "ok\n") -> None:
    assert (done.returncode, done.stdout, done.stderr) == (0, stdout, "")


def test_a_loop_that_closes_under_a_running_task(loop: str) -> None:
    """The thread notices when it is done, and all threads leave."""
    assert_quiet(
        program(
            """
            read, write = os.pipe()

            async def main():
                global pool
                pool = ThreadPool("left", threads=3)
                await pool.open()
                pool.submit(f"io.open('/proc/self/fd/{read}'):read(1) error('unheard')")
                pool.submit("return 1")
                for i in range(10):
                    pool.submit("return ...", i)
                while not thread_is_in_lua(pool):
                    await asyncio.sleep(0)

            run(main())
            os.write(write, b"x")
            wait_until(lambda: not pool_threads())
            warnings.simplefilter("ignore")
            del pool
            print("ok")
            """,
            loop,
        )
    )


def test_interpreter_exit_with_tasks_in_flight(loop: str) -> None:
    """Tasks that run, that wait, and a pool that nobody closed: the process just ends."""
    assert_quiet(
        program(
            """
            async def main():
                global pool
                pool = ThreadPool("busy", threads=2)
                await pool.open()
                for _ in range(4):
                    pool.submit(ENDLESS)
                for i in range(1000):
                    pool.submit("return ...", i)
                while not thread_is_in_lua(pool):
                    await asyncio.sleep(0)
                print("ok")

            warnings.simplefilter("ignore")
            run(main())
            """,
            loop,
        )
    )


def test_an_exception_ends_the_program_with_tasks_in_flight(loop: str) -> None:
    done = program(
        """
        async def main():
            async with ThreadPool("busy", threads=2) as pool:
                futures = [pool.submit("return ...", i) for i in range(1000)]
                await futures[0]
                sys.exit(3)

        run(main())
        """,
        loop,
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


def test_keyboard_interrupt_during_a_long_lua_call(loop: str) -> None:
    """Ctrl-C ends the program at once, though Lua code cannot be stopped."""
    source = PRELUDE + textwrap.dedent(
        """
        async def tick():
            # asyncio misses a signal that comes just before it sleeps, until it wakes up.
            while True:
                await asyncio.sleep(0.01)

        async def main():
            ticking = asyncio.create_task(tick())
            async with ThreadPool("long", threads=2) as pool:
                running = pool.submit(ENDLESS)
                waiting = [pool.submit(ENDLESS) for _ in range(5)]
                while not thread_is_in_lua(pool):
                    await asyncio.sleep(0)
                print("running", flush=True)
                await running

        run(main())
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", source, loop],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode in (-signal.SIGINT, 130)
    assert stderr.rstrip().endswith("KeyboardInterrupt")
    assert "never retrieved" not in stderr
    assert "threadpool_lua" not in stderr.replace(str(ROOT), "")


def test_garbage_collection_of_an_open_pool(loop: str) -> None:
    """It warns, as files and sockets do, and its threads leave."""
    assert_quiet(
        program(
            """
            async def main():
                pool = ThreadPool("dropped", threads=4)
                await pool.open()
                assert await pool.submit("return 1") == 1
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    del pool
                    # The last reference may be that of a thread about to sleep.
                    wait_until(lambda: gc.collect() and False or caught)
                told = [w.message for w in caught if w.category is ResourceWarning]
                print([str(message).partition(" busy=")[0] for message in told])
                wait_until(lambda: not pool_threads())
                print("ok")

            run(main())
            """,
            loop,
        ),
        "[\"unclosed <ThreadPool 'dropped' threads=4\"]\nok\n",
    )


def test_garbage_collection_of_a_pool_that_its_own_functions_refer_to(loop: str) -> None:
    assert_quiet(
        program(
            """
            async def main():
                pool = ThreadPool("cycle", threads=2)
                await pool.open()

                @pool.function
                async def twice(x):
                    return await pool.submit("return 2 * ...", x)

                assert await pool.submit("return host.twice(21)") == 42
                await asyncio.sleep(0)  # The loop has callbacks left that know the task.
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    del pool, twice
                    wait_until(lambda: gc.collect() and False or caught)
                told = [w.message for w in caught if w.category is ResourceWarning]
                print([str(message).partition(" busy=")[0] for message in told])
                wait_until(lambda: not pool_threads())
                print("ok")

            run(main())
            """,
            loop,
        ),
        "[\"unclosed <ThreadPool 'cycle' threads=2\"]\nok\n",
    )


def test_a_pool_that_is_dropped_still_ends_the_tasks_that_it_took(loop: str) -> None:
    assert_quiet(
        program(
            """
            async def submit_and_drop():
                pool = ThreadPool("dropped", threads=2)
                await pool.open()
                return [pool.submit("return ...", i) for i in range(500)]

            async def main():
                warnings.simplefilter("ignore")
                futures = await submit_and_drop()
                gc.collect()
                assert await asyncio.gather(*futures) == list(range(500))
                gc.collect()
                wait_until(lambda: not pool_threads())
                print("ok")

            run(main())
            """,
            loop,
        )
    )


def test_fork_leaves_the_parents_pool_as_it_was(loop: str) -> None:
    """In the child the pool says whose it is, and closes at once."""
    assert_quiet(
        program(
            """
            async def main():
                async with ThreadPool("parents", threads=2) as pool:
                    running = [pool.submit("local t = os.clock() while os.clock() - t < 0.2 do end")
                               for _ in range(4)]
                    while not thread_is_in_lua(pool):
                        await asyncio.sleep(0)
                    warnings.simplefilter("ignore")  # Forking a process with threads: our subject.
                    child = os.fork()
                    if child == 0:
                        try:
                            pool.submit("return 1")
                        except PoolClosedError as error:
                            sys.stdout.write(f"child: {error}\\n")
                        close = pool.aclose()
                        try:
                            close.send(None)
                        except StopIteration:
                            sys.stdout.write("child: closed\\n")
                        sys.stdout.flush()
                        del pool
                        gc.collect()
                        os._exit(7)
                    _, status = os.waitpid(child, 0)
                    assert os.waitstatus_to_exitcode(status) == 7
                    await asyncio.gather(*running)
                    assert await pool.submit("return 'parent'") == "parent"
                print("ok")

            run(main())
            """,
            loop,
        ),
        'child: thread pool "parents" belongs to another process, which forked this one\n'
        "child: closed\nok\n",
    )


def test_a_forked_child_that_ends_by_itself_ends(loop: str) -> None:
    """The whole of the interpreter's finalization runs in the child, with our states in it."""
    assert_quiet(
        program(
            """
            pool = None

            async def main():
                global pool
                pool = ThreadPool("parents", threads=2)
                await pool.open()
                await asyncio.gather(*(pool.submit("return 1") for _ in range(100)))
                pool.submit(ENDLESS)
                while not thread_is_in_lua(pool):
                    await asyncio.sleep(0)

            warnings.simplefilter("ignore")
            run(main())
            child = os.fork()
            if child:
                _, status = os.waitpid(child, 0)
                assert os.waitstatus_to_exitcode(status) == 0, status
                print("ok")
            """,
            loop,
        )
    )


def test_a_fork_in_the_midst_of_a_large_result_leaves_the_child_able_to_work(loop: str) -> None:
    """The lock under which a thread converts large results is held here while we fork."""
    assert_quiet(
        program(
            """
            from threadpool_lua import _state

            async def large():
                async with ThreadPool("childs", threads=1) as pool:
                    return len(await pool.submit("return ('x'):rep(1000000)"))

            warnings.simplefilter("ignore")
            lock = _state._one_large_result_at_a_time
            lock.acquire()
            child = os.fork()
            if child:
                lock.release()
            if child == 0:
                signal.alarm(20)
                os._exit(0 if run(large()) == 1000000 else 1)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 0, status
            assert run(large()) == 1000000
            print("ok")
            """,
            loop,
        )
    )


def test_multiprocessing_by_fork_works_beside_an_open_pool(loop: str) -> None:
    assert_quiet(
        program(
            """
            import multiprocessing

            async def main():
                async with ThreadPool("beside", threads=2) as pool:
                    assert await pool.submit("return 1") == 1
                    warnings.simplefilter("ignore")
                    process = multiprocessing.get_context("fork").Process(target=os.getpid)
                    process.start()
                    await asyncio.to_thread(process.join)
                    assert process.exitcode == 0
                    assert await pool.submit("return 2") == 2
                print("ok")

            run(main())
            """,
            loop,
        )
    )


def test_stuck_thread_does_not_survive_the_process(loop: str) -> None:
    """`-X dev` and faulthandler would tell of a crash at exit; there must be none."""
    for _ in range(5):
        done = program(
            """
            async def main():
                async with ThreadPool("stuck", threads=4) as pool:
                    for _ in range(4):
                        pool.submit(ENDLESS)
                    while not thread_is_in_lua(pool):
                        await asyncio.sleep(0)
                    raise asyncio.CancelledError

            try:
                run(main())
            except asyncio.CancelledError:
                print("ok")
            """,
            loop,
        )
        assert_quiet(done)
