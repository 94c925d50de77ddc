"""The cost of a task: `submit` beside the usual ways to run a function on a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import Any

import anyio.to_thread
import lupa.luajit21

from threadpool_lua import ThreadPool

from ._measure import IN_FLIGHT, LOOPS, alternate, in_flight, one_after_the_other, show

THREADS = 4
BURST = 20_000
ROUNDS = 9
CHUNK = "local a, b = ... return a + b"

Submit = Callable[[], Awaitable[Any]]
Measure = Callable[[Submit], Awaitable[float]]


def lua_on_this_thread() -> Callable[[], Any]:
    """Return a function that calls a Lua function of the thread that it is called on."""
    local = threading.local()

    def call() -> Any:
        add = getattr(local, "add", None)
        if add is None:
            add = local.add = lupa.luajit21.LuaRuntime().eval("function(a, b) return a + b end")
        return add(20, 22)

    return call


async def burst(submit: Submit) -> float:
    start = perf_counter()
    await asyncio.gather(*(submit() for _ in range(BURST)))
    return (perf_counter() - start) / BURST * 1e6


async def sequential(submit: Submit) -> float:
    count = 500
    start = perf_counter()
    await one_after_the_other(submit, count)
    return (perf_counter() - start) / count * 1e6


async def measure(loop_name: str) -> None:
    loop = asyncio.get_running_loop()
    call = lua_on_this_thread()
    limiter = anyio.CapacityLimiter(THREADS)
    with (
        ThreadPoolExecutor(THREADS) as executor,
        ThreadPoolExecutor(THREADS) as default_executor,
    ):
        loop.set_default_executor(default_executor)
        async with ThreadPool("bench", threads=THREADS) as pool:
            peers: dict[str, Submit] = {
                "submit": lambda: pool.submit(CHUNK, 20, 22),
                "run_in_executor": lambda: loop.run_in_executor(executor, call),
                "asyncio.to_thread": lambda: asyncio.to_thread(call),
                "anyio.to_thread": lambda: anyio.to_thread.run_sync(call, limiter=limiter),
            }
            measures: dict[str, Measure] = {
                f"{IN_FLIGHT} in flight": lambda submit: in_flight(
                    partial(one_after_the_other, submit)
                ),
                f"a burst of {BURST}": burst,
                "one after the other": sequential,
            }
            for title, measured in measures.items():
                rows = await alternate(
                    {name: partial(measured, submit) for name, submit in peers.items()}, ROUNDS
                )
                show(f"{loop_name}, {THREADS} threads, {title}", "µs per task", rows, "submit")


def run() -> None:
    """Run this part."""
    for name, run_loop in LOOPS.items():
        run_loop(measure(name))
