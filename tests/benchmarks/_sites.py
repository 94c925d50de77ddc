"""Servers that answer quick requests at once, and do work that blocks for others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from threadpool_lua import ThreadPool

from ._bench import Bench
from ._http import QUICK, WORK, serve, wrk
from ._lua import PACKAGE_PATH, in_lua
from ._nginx import nginx
from ._results import Comparison, Figures

LOOP, OURS = "the loop alone", "a pool of 32"
WORK_RATE, QUICK_RATE = "blocking requests/s", "quick requests/s"
QUICK_MEDIAN, QUICK_P99 = "quick, median, ms", "quick, 99th percentile, ms"
CLIENTS = 40  # more than there are threads
QUICK_CLIENTS = 20
# Milliseconds. Without a pause there would be so many requests between two waits that the waits
# would hardly count.
PAUSE = 5

# A server that runs: its address, and the path that an argument of work comes behind.
Running = tuple[str, str]
Site = Callable[[], AbstractAsyncContextManager[Running]]


def sites(work: str) -> dict[str, Site]:
    """Return servers that do the work of a function of work.lua."""

    @asynccontextmanager
    async def the_loop() -> AsyncIterator[Running]:
        async with serve(lambda argument: in_lua(work, argument)) as address:
            yield address, WORK

    @asynccontextmanager
    async def a_pool(threads: int) -> AsyncIterator[Running]:
        async with (
            ThreadPool(work, threads=threads, package_path=PACKAGE_PATH) as pool,
            serve(lambda argument: pool.call("work", work, argument)) as address,
        ):
            yield address, WORK

    @asynccontextmanager
    async def an_executor(threads: int) -> AsyncIterator[Running]:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(threads) as executor:
            run = partial(loop.run_in_executor, executor, in_lua, work)
            async with serve(run) as address:
                yield address, WORK

    @asynccontextmanager
    async def in_nginx(pool: str) -> AsyncIterator[Running]:
        async with nginx() as address:
            yield address, f"/work/{pool}/{work}/"

    return {
        LOOP: the_loop,
        **{f"a pool of {n}": partial(a_pool, n) for n in (1, 4, 16, 32)},
        "run_in_executor, 32": partial(an_executor, 32),
        "nginx, its worker alone": partial(in_nginx, "none"),
        "nginx, a pool of 32": partial(in_nginx, "32"),
    }


async def compare(bench: Bench, work: str, arguments: list[str], seconds: int) -> Comparison:
    """Compare all servers by a function of work.lua, called with some arguments in turn."""
    all_sites = sites(work)
    names = bench.pick(full=list(all_sites), fast=list(all_sites), tiny=[OURS])
    return await bench.compare(
        {name: partial(mixed, all_sites[name], arguments, seconds) for name in names},
        ours=OURS,
        rounds=bench.pick(full=3, fast=1, tiny=1),
        warm=False,
    )


async def mixed(site: Site, arguments: list[str], seconds: int) -> Figures:
    """Ask a new server for both kinds at once, for some seconds."""
    async with site() as (address, work):
        quick, blocking = await asyncio.gather(
            wrk(address, [QUICK], clients=QUICK_CLIENTS, seconds=seconds, pause=PAUSE),
            wrk(address, [work + it for it in arguments], clients=CLIENTS, seconds=seconds),
        )
    return {
        WORK_RATE: blocking["requests"] / blocking["microseconds"] * 1e6,
        QUICK_RATE: quick["requests"] / quick["microseconds"] * 1e6,
        QUICK_MEDIAN: quick["p50"] / 1e3,
        QUICK_P99: quick["p99"] / 1e3,
    }
