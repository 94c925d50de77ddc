"""
Growth: what a task costs as there are more tasks, more threads and larger results.

How the cost of paused tasks grows is in the next part.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from time import perf_counter
from typing import Any

from threadpool_lua import ThreadPool

from ._bench import Bench
from ._lua import in_lua
from ._measure import COST, for_at_least
from ._peers import ADD, ADD_ITEM, MAP, MAPS, NGINX, OURS, PEERS, Peer
from ._results import Figures, MissingError

ON = ("uvloop",)
THREADS = 4
IN_FLIGHT = 100
EXECUTOR, WITHOUT_GC = "run_in_executor", "submit, without the garbage collector"
MOST_IN_EXECUTOR = 10_000  # tasks; more would take as long as all the rest


async def tasks(bench: Bench) -> None:
    """
    One to a million tasks at once.

    All are submitted before the first is awaited. A bare future is one of the loop's that is
    resolved by `call_soon`: nobody can be quicker.

    Why the curves bend: few tasks share the cost of waking a thread, and then the loop. From some
    thousand on Python's garbage collector is to be seen, which looks again and again at all that is
    alive: tasks, their arguments and futures, and a bare future no less. Without it the curve is
    flat. `map` has no more than 1024 items in flight, however many there are.
    """
    loop = asyncio.get_running_loop()

    def future() -> asyncio.Future[None]:
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        return future

    def gathered(submit: Callable[[], Awaitable[Any]]) -> Callable[[int], Awaitable[Figures]]:
        async def all_at_once(count: int) -> None:
            await asyncio.gather(*(submit() for _ in range(count)))

        return at_once(all_at_once)

    def at_once(work: Callable[[int], Awaitable[None]]) -> Callable[[int], Awaitable[Figures]]:
        async def several_times(size: int, times: int) -> Figures:
            start = perf_counter()
            for _ in range(times):
                await work(size)
            return {COST: (perf_counter() - start) / (times * size) * 1e6}

        async def measure(size: int) -> Figures:
            return await for_at_least(seconds, partial(several_times, size))()

        return measure

    async def executor_at_once(count: int) -> Figures:
        if count > MOST_IN_EXECUTOR:
            raise MissingError("not tried, as it would take too long")
        return await in_executor(count)

    async def without_gc(count: int) -> Figures:
        gc.disable()
        try:
            return await submitted(count)
        finally:
            gc.enable()

    async def mapped(count: int) -> None:
        async for _ in pool.map(ADD_ITEM, range(count)):
            pass

    seconds = bench.pick(full=0.02, fast=0.01, tiny=0.0)
    most = bench.pick(full=7, fast=6, tiny=2)
    sizes = [10**power for power in range(most)]
    with ThreadPoolExecutor(THREADS) as executor:
        in_executor = gathered(lambda: loop.run_in_executor(executor, in_lua, "add", 20, 22))
        async with ThreadPool("growth", threads=THREADS, max_queue=sizes[-1]) as pool:
            submitted = gathered(lambda: pool.submit(ADD, 20, 22))
            await bench.grow(
                {
                    OURS: submitted,
                    WITHOUT_GC: without_gc,
                    MAP: at_once(mapped),
                    EXECUTOR: executor_at_once,
                    "a bare future": gathered(future),
                },
                sizes,
                axis="tasks",
                ours=OURS,
                rounds=bench.pick(full=3, fast=1, tiny=1),
            )


async def threads(bench: Bench) -> None:
    """
    One to 64 threads.

    100 tasks that do next to nothing are in flight: more threads can only be in each other's way.

    The curves of a pool are flat because it notices: while tasks are tiny, one of its threads
    serves them all. nginx's threads contend for the lock of their queue.
    """
    seconds = bench.pick(full=0.1, fast=0.03, tiny=0.0)

    async def measure(peer: Peer, many: int) -> Figures:
        async with peer(many) as drive:
            for_long = for_at_least(seconds, partial(drive, IN_FLIGHT))
            await for_long()
            return await for_long()

    await bench.grow(
        {
            OURS: partial(measure, PEERS[OURS]),
            MAP: partial(measure, MAPS[MAP]),
            EXECUTOR: partial(measure, PEERS[EXECUTOR]),
            NGINX: partial(measure, PEERS[NGINX]),
        },
        bench.pick(full=(1, 2, 4, 8, 16, 32, 64), fast=(1, 4, 16, 64), tiny=(1, 2)),
        axis="threads",
        ours=OURS,
        rounds=bench.pick(full=3, fast=1, tiny=1),
    )


async def results(bench: Bench) -> None:
    """
    Results of one byte to 100 MB.

    A task makes a string of so many bytes and returns it; one after the other.

    Why the curves bend: up to some kilobytes it is the way there and back that is paid for. Then
    it is copying, and from some megabytes on `malloc` takes each copy from the system and gives it
    back, so that every page of it is mapped and cleared anew, which takes longer than copying.
    """
    seconds = bench.pick(full=0.05, fast=0.01, tiny=0.0)
    loop = asyncio.get_running_loop()

    def timed(submit: Callable[[int], Awaitable[str]]) -> Callable[[int], Awaitable[Figures]]:
        async def one_by_one(size: int, count: int) -> Figures:
            start = perf_counter()
            for _ in range(count):
                assert len(await submit(size)) == size
            return {"µs per result": (perf_counter() - start) / count * 1e6}

        async def measure(size: int) -> Figures:
            return await for_at_least(seconds, partial(one_by_one, size))()

        return measure

    with (
        ThreadPoolExecutor(1) as executor,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes,
    ):
        async with ThreadPool("growth", threads=1) as pool:
            await bench.grow(
                {
                    OURS: timed(lambda size: pool.submit("return ('x'):rep(...)", size)),
                    EXECUTOR: timed(
                        lambda size: loop.run_in_executor(executor, in_lua, "text", size)
                    ),
                    "ProcessPoolExecutor": timed(
                        lambda size: loop.run_in_executor(processes, in_lua, "text", size)
                    ),
                },
                [10**power for power in range(bench.pick(full=9, fast=9, tiny=2))],
                axis="bytes",
                ours=OURS,
                rounds=bench.pick(full=5, fast=1, tiny=1),
            )


SECTIONS = (tasks, threads, results)
