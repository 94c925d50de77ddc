"""A named thread pool: the loop's side of the hand-off."""

from __future__ import annotations

import asyncio
import os
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from . import _implementation
from ._chunk import Chunk
from ._exceptions import PoolClosedError, QueueFullError, ThreadPoolError
from ._pace import Pace
from ._state import CALL, StateOptions
from ._threads import Task, Threads

_DRAINED_AT_ONCE: Final = 1000  # completions; then other callbacks of the loop get their turn
_TAKES_NOTHING: Final = -1  # the bound on tasks in flight of a pool that is not open


class ThreadPool:
    """
    A named pool of threads that run Lua.

    Use it as ``async with ThreadPool(...) as pool``, or call `open` and `aclose`. All methods are
    for the thread and the event loop that opened the pool, as asyncio's own objects are; asyncio's
    debug mode checks that here too.

    Args:
        name: the pool's name, which errors, thread names and ``repr()`` show. With `threads` and
            `max_queue` it means what nginx's ``thread_pool`` directive means, defaults included.
        threads: the number of threads, at least 1.
        max_queue: how many tasks may wait beyond those that idle threads take at once. With 0 a
            task is accepted only while a thread is idle.
        lua: the Lua implementation, one of those that lupa bundles: ``luajit21``, ``luajit20``,
            ``lua51``, ``lua52``, ``lua53``, ``lua54``, ``lua55``.
        package_path: where ``require`` looks for Lua modules, in the notation of Lua's
            ``package.path`` and nginx's ``lua_package_path``: ``;;`` stands for the default.
            ``None`` leaves the default.
        package_cpath: where ``require`` looks for C modules, in the same notation. ``None`` loads
            no C modules. In one process only one implementation can load C modules.
        init: a chunk, or Lua source, that is run once in each new Lua state, for instance to
            preload modules or to connect to a database. The globals it sets are seen by all tasks
            of that state.
        states: how many Lua states there may be at most; by default as many as threads. Each
            running task has one to itself, so a pool with fewer states than threads starts only
            as many threads as it has states.
        encoding: how Lua strings become Python's: ``"utf-8"`` makes them ``str``, ``None``
            ``bytes``.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: an argument is out of bounds, or `package_cpath` is given while another Lua
            implementation loads C modules in this process.
        ImportError: this build of lupa does not bundle the implementation.
    """

    # For `__del__`, which is called even if `__init__` was not.
    _threads: Threads | None = None
    _limit = _TAKES_NOTHING  # tasks in flight at most; the one check that submit makes

    def __init__(
        self,
        name: str = "default",
        *,
        threads: int = 32,
        max_queue: int = 65536,
        lua: str = "luajit21",
        package_path: str | None = None,
        package_cpath: str | None = None,
        init: str | Chunk | None = None,
        states: int | None = None,
        encoding: str | None = "utf-8",
    ) -> None:
        # The mutable state, all of it the loop's alone.
        self._refusal = "is not open"  # why the pool takes nothing
        self._closed = False
        self._in_flight = 0  # tasks submitted whose completion the loop has not seen
        self._waiters: deque[asyncio.Future[None]] = deque()  # in `room`, first come first
        self._scan_in = 0  # refusals until cancelled tasks are looked for once more

        _check(name, "name", str)
        if not name:
            raise ValueError("name must not be empty")
        _check(threads, "threads", int, at_least=1)
        _check(max_queue, "max_queue", int, at_least=0)
        _check(lua, "lua", str)
        if lua not in _implementation.NAMES:
            raise ValueError(f"lua must be one of {', '.join(_implementation.NAMES)}, not {lua!r}")
        for path, parameter in (package_path, "package_path"), (package_cpath, "package_cpath"):
            if path is not None:
                _check(path, parameter, str)
        if init is not None and not isinstance(init, str | Chunk):
            raise TypeError(f"init must be str or Chunk, not {type(init).__name__}")
        if states is not None:
            _check(states, "states", int, at_least=1)
        if encoding not in ("utf-8", None):
            raise ValueError(f"encoding must be 'utf-8' or None, not {encoding!r}")

        implementation = _implementation.load(lua)
        if package_cpath is not None:
            _implementation.allow_c_modules(implementation)
        self._name = name
        self._thread_count = threads if states is None else min(threads, states)
        self._max_queue = max_queue
        self._options = StateOptions(
            implementation=implementation,
            package_path=None if package_path is None else package_path.encode(),
            package_cpath=None if package_cpath is None else package_cpath.encode(),
            init=Chunk(init, "init") if isinstance(init, str) else init,
            as_text=encoding is not None,
        )

    @property
    def name(self) -> str:
        """The pool's name."""
        return self._name

    async def open(self) -> None:
        """
        Start the threads. A pool is opened once.

        Raises:
            ThreadPoolError: the pool has been opened before, or the threads could not be started.
            PoolClosedError: it was closed meanwhile.
        """
        if self._threads is not None:
            raise ThreadPoolError(f'thread pool "{self._name}" cannot be opened twice')
        loop = asyncio.get_running_loop()
        self._create_future = loop.create_future
        if loop.get_debug():
            self._create_future = partial(_create_future_here, loop, self._name)
        self._threads = threads = Threads(self._name, self._thread_count, self._options, loop)
        self._pace = Pace(threads)
        self._ready = threads.ready
        self._idle = threads.idle
        self._wake = threads.wake
        _open_pools.add(self)
        try:
            threads.start()
            await threads.opened
        except BaseException:
            self._close()
            raise
        if self._closed:
            raise PoolClosedError(self._name)
        self._limit = self._thread_count + self._max_queue

    async def aclose(self) -> None:
        """
        Take no more tasks, let those queued and running finish, and end the threads.

        Cancelling it leaves the pool closing; calling it again waits again.
        """
        self._close()
        if self._threads is not None and self in _open_pools:
            await asyncio.shield(self._threads.exited)
            # What is left of the threads is their very last steps.
            for worker in self._threads.workers:
                if worker.thread.ident is not None:
                    worker.thread.join()
            while self._threads.done:
                self._drain()
            _open_pools.discard(self)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """
        Close the pool.

        Without an exception this is `aclose`. With one, what is queued is cancelled first; when
        the block itself was cancelled (or interrupted), running tasks are cancelled as well: Lua
        code that cannot be stopped is not waited for, its thread ends after it.
        """
        self._close()
        if kind is not None:
            self._cancel_queued()
            if not issubclass(kind, Exception) and await self._cancel_running():
                return
        await self.aclose()

    def submit(self, chunk: str | Chunk, /, *args: object) -> asyncio.Future[Any]:
        """
        Queue a task that runs `chunk` on a pool thread.

        Arguments are read on the pool thread: do not change a list or dict before the task ends.

        Args:
            chunk: Lua source, or a `Chunk`. ``...`` in it is the arguments.
            args: the arguments: ``None``, bool, int, float, str, bytes, lists and dicts.

        Returns:
            A future. Its result is what the chunk returns: ``None`` for no value, the value itself
            for one, a tuple for several. Cancelling it takes the task out of the queue, or
            abandons it when it runs. Its exception is one of those below.

            - `LuaError`: the Lua code failed.
            - `LuaSyntaxError`: it does not compile.
            - `MarshalError`: an argument or a result cannot cross between Python and Lua.
            - `InitError`: the pool's ``init`` chunk failed.
            - `TypeError`: `chunk` is neither str nor `Chunk`.
            - `ValueError`: `chunk` is bytecode, or cannot be encoded as UTF-8.

        Raises:
            QueueFullError: `max_queue` tasks wait already.
            PoolClosedError: the pool is not open.
        """
        if self._in_flight >= self._limit and self._is_full():
            raise QueueFullError(self._name, self._max_queue, self._in_flight - self._thread_count)
        future = self._create_future()
        self._in_flight += 1
        self._ready.append((future, chunk, args, self))
        if self._idle:
            self._wake()
        return future

    def call(self, module: str, function: str, /, *args: object) -> asyncio.Future[Any]:
        """
        Queue a task that calls a function of a Lua module, as ``ngx.run_worker_thread`` does.

        Args:
            module: the name that ``require`` knows the module by.
            function: the name of the function in it.
            args: the function's arguments.

        Returns:
            A future, as `submit` does.

        Raises:
            QueueFullError: `max_queue` tasks wait already.
            PoolClosedError: the pool is not open.
            TypeError: a name is no ``str``.
        """
        if not isinstance(module, str) or not isinstance(function, str):
            raise TypeError("the names of a module and of its function are str")
        return self.submit(CALL, module, function, *args)

    async def room(self) -> None:
        """
        Wait until the queue has room for a task, first come, first served.

        The place is the caller's until its next ``await``: a `submit` or `call` that follows at
        once is accepted, whoever else submits.

        Raises:
            PoolClosedError: the pool is not open, or it closed meanwhile.
        """
        if not self._waiters and not self._is_full():
            return
        waiter = self._create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._in_flight -= 1  # Its place goes to the next in line.
            self._grant_room()
            raise
        # The place was counted as taken, so that nobody could step in; now it is the caller's.
        self._in_flight -= 1
        # If the caller does not use it, the next in line must not wait for ever.
        waiter.get_loop().call_soon(self._grant_room)

    def __repr__(self) -> str:
        if self._threads is None:
            state = "not open"
        elif self._limit == _TAKES_NOTHING:
            state = "closed"
        else:
            state = f"{self._in_flight} tasks in flight"
        return f"<ThreadPool {self._name!r} threads={self._thread_count} {state}>"

    def __del__(self) -> None:
        if self._limit != _TAKES_NOTHING:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
        if self._threads is not None:
            self._threads.stop()

    def _drain(self) -> None:
        """Resolve the futures of completed tasks; the threads have the loop call this."""
        assert self._threads is not None
        # First of all: what a thread completes after this line, it tells us of anew.
        self._threads.notified = False
        done = self._threads.done
        count = min(len(done), _DRAINED_AT_ONCE)
        self._in_flight -= count
        for _ in range(count):
            future, result, error = done.popleft()
            try:
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)
            except asyncio.InvalidStateError:
                pass  # It was cancelled: nobody waits for the outcome.
        self._pace.note(count)
        if self._waiters:
            self._grant_room()
        if done and not self._threads.notified:
            self._threads.notified = True
            asyncio.get_running_loop().call_soon(self._drain)

    def _is_full(self) -> bool:
        """Return whether the queue has no room, once it is rid of cancelled tasks; may raise."""
        if self._limit == _TAKES_NOTHING:
            raise PoolClosedError(self._name, self._refusal)
        if self._in_flight >= self._limit:
            # A cancelled task leaves the queue when a thread comes to it; here it is in the way.
            # Looking at the whole queue is paid for by the refusals in between.
            self._scan_in -= 1
            if self._scan_in < 0:
                self._remove_from_queue(lambda task: task[0].cancelled())
                self._scan_in = len(self._ready) // 8
                self._grant_room()
        return self._in_flight >= self._limit

    def _remove_from_queue(self, unwanted: Callable[[Task], bool]) -> list[Task]:
        """Take the `unwanted` tasks out of the queue, and return them."""
        # From the right, so that the threads, which take from the left, keep the order.
        kept: list[Task] = []
        removed: list[Task] = []
        while True:
            try:
                task = self._ready.pop()
            except IndexError:
                break
            (removed if unwanted(task) else kept).append(task)
        kept.reverse()
        self._ready.extend(kept)
        # A thread may have found the queue empty meanwhile.
        for _ in range(min(len(kept), len(self._idle))):
            self._wake()
        self._in_flight -= len(removed)
        return removed

    def _grant_room(self) -> None:
        """Give the places that are free to those who wait for room."""
        while self._waiters and self._in_flight < self._limit:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._in_flight += 1
                waiter.set_result(None)

    def _close(self) -> None:
        """Take no more tasks, and let the threads leave once the queue is empty."""
        self._limit = _TAKES_NOTHING
        if self._threads is None:
            return
        if not self._closed:
            self._closed = True
            self._refusal = "is closed"
        self._threads.stop()
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(PoolClosedError(self._name))

    def _cancel_queued(self) -> None:
        if self._threads is not None:
            for future, *_ in self._remove_from_queue(lambda task: True):
                future.cancel()

    async def _cancel_running(self) -> bool:
        """Cancel the tasks that run now, and return whether there are any."""
        assert self._threads is not None
        while True:
            completed = {id(future) for future, *_ in list(self._threads.done)}
            tasks = [worker.task for worker in self._threads.workers]
            running = [task[0] for task in tasks if task and id(task[0]) not in completed]
            for future in running:
                future.cancel()
            if len(running) >= self._in_flight - len(completed):
                return bool(running)
            # A thread has taken a task and not yet come to note it: it needs the GIL for that.
            await asyncio.sleep(0)


# The pools whose threads may still run.
_open_pools: weakref.WeakSet[ThreadPool] = weakref.WeakSet()


def _forget_threads() -> None:
    """In a forked child: the threads stayed in the parent."""
    for pool in list(_open_pools):
        pool._limit = _TAKES_NOTHING
        pool._refusal = "belongs to another process, which forked this one"
    _open_pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


def _create_future_here(loop: asyncio.AbstractEventLoop, name: str) -> asyncio.Future[Any]:
    """In the loop's debug mode, refuse to be called from elsewhere, as the loop itself does."""
    try:
        here = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    if here is not loop:
        raise RuntimeError(
            f'thread pool "{name}" is used from outside the event loop that opened it; other '
            "threads can use asyncio.run_coroutine_threadsafe()"
        )
    return loop.create_future()


def _check(value: object, parameter: str, kind: type, at_least: int | None = None) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{parameter} must be {kind.__name__}, not {type(value).__name__}")
    if at_least is not None and value < at_least:  # type: ignore[operator]
        raise ValueError(f"{parameter} must be at least {at_least}, not {value!r}")
