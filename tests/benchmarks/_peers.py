"""The ways to have a thread add two numbers: ours, Python's, Node's and nginx's."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import anyio.to_thread

from threadpool_lua import ThreadPool

from ._lua import PACKAGE_PATH, in_lua
from ._measure import COST, Submit, in_flight, one_after_the_other
from ._nginx import nginx
from ._results import Figures, MissingError

# Has so many tasks in flight, each with so many more after it, and tells what one costs.
Drive = Callable[[int, int], Awaitable[Figures]]
Peer = Callable[[int], AbstractAsyncContextManager[Drive]]  # with so many threads

NODE = Path(__file__).parent / "node"
NODE_MODULES = Path("build/node_modules")  # where `make bench` installs piscina
ADD = "local a, b = ... return a + b"
ADD_ITEM = "return ... + 22"


def add_in_python(a: int, b: int) -> int:
    return a + b


def submits(submit: Submit) -> Drive:
    async def work(count: int) -> None:
        await one_after_the_other(submit, count)

    return lambda many, each: in_flight(work, many, each)


@asynccontextmanager
async def submit(threads: int) -> AsyncIterator[Drive]:
    async with ThreadPool("submit", threads=threads) as pool:
        yield submits(lambda: pool.submit(ADD, 20, 22))


def maps(ordered: bool, wide: bool = False) -> Peer:
    """Return `map` with as many in flight as the others have, or with its own default."""

    @asynccontextmanager
    async def peer(threads: int) -> AsyncIterator[Drive]:
        async with ThreadPool("map", threads=threads) as pool:

            async def drive(many: int, each: int) -> Figures:
                options: dict[str, Any] = {} if wide else {"in_flight": many}

                async def work(count: int) -> None:
                    items = range(count)
                    async for _ in pool.map(ADD_ITEM, items, ordered=ordered, **options):
                        pass

                return await in_flight(work, 1, many * each)

            yield drive

    return peer


@asynccontextmanager
async def call(threads: int) -> AsyncIterator[Drive]:
    async with ThreadPool("call", threads=threads, package_path=PACKAGE_PATH) as pool:
        yield submits(lambda: pool.call("work", "add", 20, 22))


@asynccontextmanager
async def run_in_executor(threads: int) -> AsyncIterator[Drive]:
    with ThreadPoolExecutor(threads) as executor:
        yield _in_executor(executor, in_lua, "add", 20, 22)


@asynccontextmanager
async def to_thread(threads: int) -> AsyncIterator[Drive]:
    with ThreadPoolExecutor(threads) as executor:
        asyncio.get_running_loop().set_default_executor(executor)
        yield submits(lambda: asyncio.to_thread(in_lua, "add", 20, 22))


@asynccontextmanager
async def anyio_to_thread(threads: int) -> AsyncIterator[Drive]:
    limiter = anyio.CapacityLimiter(threads)
    yield submits(lambda: anyio.to_thread.run_sync(in_lua, "add", 20, 22, limiter=limiter))


@asynccontextmanager
async def processes(threads: int) -> AsyncIterator[Drive]:
    with ProcessPoolExecutor(threads, mp_context=get_context("spawn")) as executor:
        yield _in_executor(executor, in_lua, "add", 20, 22)


def interpreter_executor(workers: int) -> Executor:
    """Return an InterpreterPoolExecutor. It runs no Lua: subinterpreters cannot load lupa."""
    if sys.version_info < (3, 14):
        raise MissingError("Python has InterpreterPoolExecutor from 3.14 on")
    from concurrent.futures import InterpreterPoolExecutor

    executor: Executor = InterpreterPoolExecutor(workers)
    return executor


@asynccontextmanager
async def interpreters(threads: int) -> AsyncIterator[Drive]:
    with interpreter_executor(threads) as executor:
        yield _in_executor(executor, add_in_python, 20, 22)


def _in_executor(executor: Executor, function: Callable[..., Any], *arguments: object) -> Drive:
    loop = asyncio.get_running_loop()
    return submits(lambda: loop.run_in_executor(executor, function, *arguments))


@asynccontextmanager
async def piscina(threads: int) -> AsyncIterator[Drive]:
    if shutil.which("node") is None:
        raise MissingError("Node is not installed")
    if not (NODE_MODULES / "piscina").exists():
        raise MissingError("npm install --prefix build piscina was not run, or failed")
    node = await asyncio.create_subprocess_exec(
        "node",
        NODE / "drive.mjs",
        NODE_MODULES.resolve(),
        str(threads),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert node.stdin is not None
    assert node.stdout is not None
    stdin, stdout = node.stdin, node.stdout

    async def drive(many: int, each: int) -> Figures:
        stdin.write(b"%d %d\n" % (many, each))
        return {COST: float(await stdout.readline())}

    try:
        yield drive
    finally:
        stdin.close()
        await node.wait()


@asynccontextmanager
async def run_worker_thread(threads: int) -> AsyncIterator[Drive]:
    async with nginx() as address:

        async def drive(many: int, each: int) -> Figures:
            # Nothing else of this process runs meanwhile.
            with urlopen(f"{address}/drive/{threads}/{many}/{each}") as answer:
                return {COST: float(answer.read())}

        yield drive


OURS = "submit"
NGINX = "nginx: ngx.run_worker_thread"
PEERS: dict[str, Peer] = {
    OURS: submit,
    "call": call,
    "run_in_executor": run_in_executor,
    "asyncio.to_thread": to_thread,
    "anyio.to_thread": anyio_to_thread,
    "ProcessPoolExecutor": processes,
    "InterpreterPoolExecutor": interpreters,
    "Node: piscina": piscina,
    NGINX: run_worker_thread,
}
MAP = "map"
MAPS: dict[str, Peer] = {
    MAP: maps(ordered=True),
    "map, ordered=False": maps(ordered=False),
    "map, in_flight=1024": maps(ordered=True, wide=True),
}
