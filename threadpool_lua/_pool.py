"""A named thread pool: the loop's side of the hand-off."""

from __future__ import annotations

import asyncio
import logging
import os
import warnings
import weakref
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from math import inf
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from . import _implementation
from ._chunk import Chunk
from ._coroutine import Coroutine, SteppedTask
from ._exceptions import (
    LuaTimeLimitError,
    PoolClosedError,
    QueueFullError,
    StateLostError,
    ThreadPoolError,
)
from ._host import HostFunctions
from ._limits import Isolation, checked_limits
from ._map import Batch, Map
from ._ngx.light_threads import Begun
from ._ngx.worker import NgxWorker
from ._pace import Pace
from ._records import Records
from ._slow import SlowTasks
from ._state import CALL, State, StateOptions
from ._statistics import PoolStatistics
from ._stream import Stream, StreamedTask
from ._supervisor import Supervisor
from ._task import PAUSED, STEPPED, VISIT, VOID, Close, Task, Visit
from ._threads import Queued, Threads

_DRAINED_AT_ONCE: Final = 1000  # completions; then other callbacks of the loop get their turn
_GRACE: Final = 1.0  # seconds that what has been cancelled has to end, where the time is over
_TAKES_NOTHING: Final = -1  # the bound on tasks in flight of a pool that is not open

_logger = logging.getLogger("threadpool_lua")

_FunctionT = TypeVar("_FunctionT", bound=Callable[..., Any])


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
            preload modules or to connect to a database; or several, which are run in turn. The
            globals that it sets are seen by all tasks of that state.
        states: how many Lua states there may be at most; by default as many as threads. Each
            running task has one to itself, so a pool with fewer states than threads starts only
            as many threads as it has states. A task that runs for long delays those that are
            paused in its state; with more states than threads it meets fewer of them. A state that
            takes no more tasks (see `max_tasks_per_state`) does not count: it stays for as long as
            tasks are paused in it.
        encoding: how Lua strings become Python's: ``"utf-8"`` makes them ``str``, ``None``
            ``bytes``.
        functions: Python functions that Lua code calls, by the name that they have there:
            ``{"fetch_user": fetch_user}`` makes ``host.fetch_user(id)``. See `function`.
        isolation: what tasks share. With ``"task"`` each has its own globals and its own copies
            of the library tables. With ``"state"`` each has a whole Lua state to itself, as in
            lua-resty-threadpool; `states` then bounds those where tasks run, and a paused task
            keeps its own. With ``"none"`` all tasks of a state have the same globals, as in
            OpenResty.
        time_limit: how many seconds a task may run in Lua. The time in which it is queued or
            paused, or in which a host function runs, does not count. ``None`` sets no limit.
        memory_limit: how many bytes a Lua state may use, at least 1 MiB. ``None`` sets no limit.
        interruptible: whether Lua code stops when its task is cancelled. A pool with a time limit,
            and a sandbox, always are. LuaJIT's compiler does not work in such a pool.
        max_tasks_per_state: after how many tasks a state is replaced by a new one, as worker
            processes are by ``max_tasks_per_child`` of `concurrent.futures`. ``None`` sets no
            limit.
        sandbox: whether tasks see only what cannot reach files, processes, native code or other
            tasks. It implies `interruptible`, and a `memory_limit` of 64 MiB if none is given.
        modules: in a sandbox the names of the Lua modules that ``require`` may load there.
        slow_task: for how many seconds a task may run in one go before the logger
            ``threadpool_lua`` warns of it, at most a quarter later. ``None`` warns of none.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: an argument is out of bounds or does not go with another, or `package_cpath` is
            given while another Lua implementation loads C modules in this process.
        ImportError: this build of lupa does not bundle the implementation.
    """

    # For `__del__`, which is called even if `__init__` was not.
    _threads: Threads | None = None
    _supervisor: Supervisor | None = None
    _slow_tasks: SlowTasks | None = None
    _limit = _TAKES_NOTHING  # tasks in flight at most
    # Tasks in flight from which on submit takes a closer look: whether there is room, and whether
    # to measure the task. The one check that it makes.
    _closer_look = _TAKES_NOTHING

    def __init__(
        self,
        name: str = "default",
        *,
        threads: int = 32,
        max_queue: int = 65536,
        lua: str = "luajit21",
        package_path: str | None = None,
        package_cpath: str | None = None,
        init: str | Chunk | Sequence[str | Chunk] | None = None,
        states: int | None = None,
        encoding: str | None = "utf-8",
        functions: Mapping[str, Callable[..., Any]] | None = None,
        isolation: Isolation = "task",
        time_limit: float | None = None,
        memory_limit: int | None = None,
        interruptible: bool = False,
        max_tasks_per_state: int | None = None,
        sandbox: bool = False,
        modules: Iterable[str] = (),
        slow_task: float | None = None,
    ) -> None:
        # The mutable state, all of it the loop's alone. These must be 30 attributes at most: those
        # of an object that has more are slower in CPython, and a task costs 2 % more.
        # Why the pool takes nothing. None means that it opens when it is used.
        self._refusal: str | None = "is not open"
        self._closed = False
        # What ends the future of a task that pauses, when it is no longer waited for.
        self._end: Callable[[asyncio.Future[Any]], object] | None = None
        # Tasks that have been put into the queue, and have not ended or paused since as far as
        # the loop has seen.
        self._in_flight = 0
        # Tasks that wait for Python code on the loop, in the order in which they began to: what
        # they wait for may be a queue, which is left the quickest in that order.
        self._paused: dict[Task, None] = {}
        self._given_up: set[asyncio.Future[Any]] = set()  # whose threads were stuck
        self._calls_ending: set[asyncio.Future[Any]] = set()  # that code, where it was cancelled
        self._closings: set[asyncio.Future[Any]] = set()  # of coroutines that are being closed
        self._gave_up = False  # whether it was closed while Lua code ran that cannot be stopped
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
        if init is None or isinstance(init, str | Chunk):
            init = () if init is None else (init,)
        if not isinstance(init, Sequence) or not all(isinstance(c, str | Chunk) for c in init):
            raise TypeError("init must be str or Chunk, or a sequence of these")
        if states is not None:
            _check(states, "states", int, at_least=1)
        if encoding not in ("utf-8", None):
            raise ValueError(f"encoding must be 'utf-8' or None, not {encoding!r}")
        if functions is not None and not isinstance(functions, Mapping):
            raise TypeError(f"functions must be a mapping, not {type(functions).__name__}")
        if slow_task is not None:
            _check_seconds(slow_task, "slow_task")
            if not 0 < slow_task < inf:
                raise ValueError(f"slow_task must be more than 0 and finite, not {slow_task!r}")
        limits = checked_limits(
            name,
            lua,
            isolation,
            time_limit,
            memory_limit,
            interruptible,
            max_tasks_per_state,
            sandbox,
        )
        names = () if isinstance(modules, str) else tuple(modules)
        if isinstance(modules, str) or not all(isinstance(name, str) for name in names):
            raise TypeError("modules must be an iterable of str")
        if names and not sandbox:
            raise ValueError("modules are those that a sandbox allows; elsewhere all are allowed")
        self._functions = HostFunctions()
        for name_in_lua, function in (functions or {}).items():
            self._functions.register(name_in_lua, function)

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
            init=tuple(Chunk(c, "init") if isinstance(c, str) else c for c in init),
            as_text=encoding is not None,
            ngx=NgxWorker(),
            functions=weakref.ref(self._functions),
            isolation=isolation,
            limits=limits,
            modules=names if sandbox else None,
        )
        self._ngx.pools[name] = self
        self._max_states = threads if states is None else states
        self._records = Records(stops_tasks=limits is not None and limits.have_hook)
        if slow_task is not None:
            self._slow_tasks = SlowTasks(self, slow_task)

    @property
    def name(self) -> str:
        """The pool's name."""
        return self._name

    @property
    def _ngx(self) -> NgxWorker:
        return self._options.ngx

    def _join(self, worker: NgxWorker) -> None:
        """Have the tasks share what they have through ``ngx`` with those of other pools."""
        self._options = replace(self._options, ngx=worker)
        worker.pools[self._name] = self

    async def open(self) -> None:
        """
        Start the threads. A pool is opened once.

        Raises:
            ThreadPoolError: the pool has been opened before, or the threads could not be started.
            PoolClosedError: it was closed meanwhile.
        """
        if self._threads is not None:
            raise ThreadPoolError(f'thread pool "{self._name}" cannot be opened twice')
        self._settle()
        try:
            await self._start().opened
        except BaseException:
            self._close()
            raise
        if self._closed:
            raise PoolClosedError(self._name)
        self._take_tasks()

    def _open_when_used(self) -> None:
        """Be open as far as anybody can tell, but start the threads when there is a task."""
        self._settle()
        self._refusal = None

    def _open_for_use(self) -> None:
        """Do what `open` does, without waiting: the first thread runs already."""
        opened = self._start().opened
        self._take_tasks()

        def end_if_failed(_: asyncio.Future[None]) -> None:
            error = opened.exception()
            if error is not None:
                self._close()
                self._end_all_that_do_not_run(lambda future: future.set_exception(error))

        opened.add_done_callback(end_if_failed)

    def _settle(self) -> None:
        """Belong to the running loop from now on."""
        self._loop = loop = asyncio.get_running_loop()
        self._callback_context = copy_context()
        self._create_future = loop.create_future
        if loop.get_debug():
            self._create_future = partial(_create_future_here, loop, self._name)

    def _start(self) -> Threads:
        """Begin to start the threads."""
        self._threads = threads = Threads(
            self._name, self._thread_count, self._max_states, self._options, self._loop
        )
        self._refusal = "is not open"
        self._pace = Pace(threads)
        self._ready = threads.ready
        self._idle = threads.idle
        self._wake = threads.wake
        _open_pools.add(self)
        if self._slow_tasks is not None:
            self._slow_tasks.start(threads, self._loop)
        threads.start()
        return threads

    def _take_tasks(self) -> None:
        limits = self._options.limits
        if limits is not None and limits.time is not None:
            assert self._threads is not None
            self._supervisor = Supervisor(self, self._threads, self._loop, limits.time)
        self._limit = self._thread_count + self._max_queue
        self._closer_look = 0
        _logger.info('thread pool "%s" is open, with %d threads', self._name, self._thread_count)

    async def aclose(self, timeout: float | None = None) -> None:
        """
        Take no more tasks, let those there are finish, paused ones too, and end the threads.

        A `Coroutine` or a `Stream` that waits for its owner has nothing to finish: it is ended.

        Cancelling this leaves the pool closing; calling it again waits again.

        Args:
            timeout: how many seconds tasks have to finish; ``None`` sets no limit. Those that have
                not finished by then end with `PoolClosedError`; Lua code that still runs cannot be
                stopped, and is not waited for: its thread ends after it.

        Raises:
            RuntimeError: a function that a task of the pool waits for has called this.
            TypeError: `timeout` is no number.
            ValueError: it is negative.
        """
        check_timeout(timeout)
        threads = self._threads
        if threads is None or self not in _open_pools:
            self._close()
            return
        self._check_not_served(asyncio.current_task())
        self._close()
        if timeout is not None:
            await asyncio.wait([threads.exited], timeout=timeout)
            if not threads.exited.done():
                await self._end_all(self._set_too_late)
        if not self._gave_up:
            await asyncio.shield(threads.exited)
        await self._finish_closing()

    async def _finish_closing(self) -> None:
        """See to what is left when the threads have left, or when they are not waited for."""
        threads = self._threads
        assert threads is not None
        while threads.done:
            self._drain()
        for closed in self._closings:  # The states are closed, or nobody will come to them.
            if not closed.done():
                closed.set_result(None)
        if self._calls_ending:
            is_forced = self._end is not None
            await asyncio.wait(self._calls_ending, timeout=_GRACE if is_forced else None)
        if self._gave_up:
            if self._supervisor is not None:
                self._supervisor.stop()
            return
        # What is left of the threads is their very last steps.
        for worker in threads.workers:
            if worker.thread.ident is not None and not worker.is_given_up:
                worker.thread.join()
        while threads.done:
            self._drain()
        if self._supervisor is not None:
            self._supervisor.stop()
        if self._slow_tasks is not None:
            self._slow_tasks.stop()
        self._ngx.leave(self._name)
        if self in _open_pools:
            _open_pools.discard(self)
            _logger.info('thread pool "%s" is closed', self._name)

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

        Without an exception this is `aclose`. With one, what is queued or paused is cancelled
        first; when the block itself was cancelled (or interrupted), running tasks are cancelled as
        well: Lua code that cannot be stopped is not waited for, its thread ends after it.
        """
        self._close()
        if self._threads is not None and kind is not None:
            if not issubclass(kind, Exception):
                await self._end_all(_cancel)
            else:
                self._end_all_that_do_not_run(_cancel)
        try:
            await self.aclose()
        except asyncio.CancelledError:
            # An error of the block matters more, as it does to asyncio.TaskGroup. That the tasks
            # above are cancelled may be the very reason why anyio's cancels this.
            if not isinstance(error, Exception):
                raise

    def submit(
        self,
        chunk: str | Chunk,
        /,
        *args: object,
        on_yield: Callable[..., object] | None = None,
    ) -> asyncio.Future[Any]:
        """
        Queue a task that runs `chunk` on a pool thread.

        Arguments are read on the pool thread: do not change a list or dict before the task ends.

        Args:
            chunk: Lua source, or a `Chunk`. ``...`` in it is the arguments.
            args: the arguments: ``None``, bool, int, float, str, bytes, lists and dicts.
            on_yield: what is called on the loop, in the context of the caller, with the values
                that the chunk yields by ``coroutine.yield``. What it returns is what that returns
                in Lua, a tuple as several values; an ``async`` function is awaited. An exception
                of it ends the task. Without it, the loop resumes the task with nothing, after all
                that was ready before it.

        Returns:
            A future. Its result is what the chunk returns: ``None`` for no value, the value itself
            for one, a tuple for several. Cancelling it takes the task out of the queue, or
            abandons it when it runs. Its exception is one of those below.

            - `LuaError`: the Lua code failed. If it let an exception of a host function through,
              it is that exception.
            - `LuaSyntaxError`: it does not compile.
            - `MarshalError`: an argument or a result cannot cross between Python and Lua.
            - `InitError`: the pool's ``init`` chunk failed.
            - `TypeError`: `chunk` is neither str nor `Chunk`.
            - `ValueError`: `chunk` is bytecode, or cannot be encoded as UTF-8.
            - `PoolClosedError`: the pool was closed with a time limit that the task exceeded.

        Raises:
            QueueFullError: `max_queue` tasks wait already.
            PoolClosedError: the pool is not open.
            TypeError: `on_yield` cannot be called.
        """
        if self._in_flight >= self._closer_look:
            if self._in_flight >= self._limit:
                self._check_room()
        elif on_yield is None and not self._functions:
            future = self._create_future()
            self._in_flight += 1
            self._ready.append((future, chunk, args, self))
            if self._idle:
                self._wake()
            return future
        future = self._create_future()
        context = None
        if on_yield is not None or self._functions:
            if on_yield is not None and not callable(on_yield):
                raise TypeError(f"on_yield cannot be called: {on_yield!r}")
            context = copy_context()
        self._put(future, Task(self, future, chunk, args, context, on_yield))
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

    def create(self, chunk: str | Chunk, /) -> Coroutine:
        """
        Make a coroutine that is resumed step by step, as lua-resty-threadpool's ``create`` does.

        Args:
            chunk: Lua source, or a `Chunk`; ``...`` in it is the arguments of the first
                `Coroutine.resume`.

        Raises:
            PoolClosedError: the pool is not open.
        """
        self._check_open()
        return Coroutine(SteppedTask(self, chunk))

    def stream(self, chunk: str | Chunk, /, *args: object, prefetch: int = 0) -> Stream:
        """
        Run a task, and iterate over what it yields: ``async for row in pool.stream(...)``.

        A row is ``None`` for a yield of no value, the value itself for one, a tuple for several.
        What the chunk returns at its end is no row. Leaving the loop ends the task.

        Args:
            chunk: Lua source, or a `Chunk`.
            args: its arguments.
            prefetch: how many rows Lua may yield before they are asked for. With 0 it computes a
                row when the consumer waits for it, and at no other time.

        Returns:
            The stream. The task begins with its first step, which raises `QueueFullError` if
            `max_queue` tasks wait already. What the task fails with, the step raises for which
            there is no row.

        Raises:
            PoolClosedError: the pool is not open.
            TypeError: `prefetch` is no int.
            ValueError: `prefetch` is negative.
        """
        _check(prefetch, "prefetch", int, at_least=0)
        self._check_open()
        return Stream(StreamedTask(self, chunk, args, prefetch))

    def map(
        self,
        chunk: str | Chunk,
        items: Iterable[object] | AsyncIterable[object],
        /,
        *,
        ordered: bool = True,
        in_flight: int = 1024,
    ) -> AsyncIterator[Any]:
        """
        Run a task for each item of an iterable: ``async for result in pool.map(chunk, items)``.

        Quick tasks are run many at a time, by one thread in one go, which costs a fraction of as
        many calls of `submit`. Tasks that pause wait side by side.

        Args:
            chunk: Lua source, or a `Chunk`; ``...`` in it is one item.
            items: an iterable, of any length, which is read on the loop; or an asynchronous one.
            ordered: whether results come in the order of the items, or as they are there.
            in_flight: how many items at most have been taken from the iterable and their results
                not been consumed.

        Returns:
            An asynchronous iterator of what the tasks return, in the form that `submit` has. The
            first error of a task, or of the iterable, ends it, in the place of that result. Leaving
            it cancels what is on its way.

        Raises:
            PoolClosedError: the pool is not open.
            TypeError: `items` is not iterable, or `in_flight` is no int.
            ValueError: `in_flight` is less than 1.
        """
        _check(in_flight, "in_flight", int, at_least=1)
        if not isinstance(items, Iterable | AsyncIterable):
            raise TypeError(f"items must be iterable, not {type(items).__name__}")
        self._check_open()
        return Map(self, chunk, ordered, in_flight).results(items)

    def function(self, function: _FunctionT, /, *, name: str | None = None) -> _FunctionT:
        """
        Make a Python function callable by Lua code, as ``host.`` and its name; a decorator.

        To Lua it is an ordinary function. A plain one runs on the pool thread; an ``async def``
        one runs on the loop while its Lua task is paused. Both run in the context (`contextvars`)
        of who submitted the task. A tuple that it returns is several values, anything else one.

        An exception that it raises is an error in Lua, a table with the fields ``type`` and
        ``message``, which ``tostring`` shows as ``ValueError: ...``. If Lua code lets it through,
        awaiting the task raises the exception itself, with the Lua traceback as a note.

        Args:
            function: the function.
            name: its name in Lua; by default its own. One that is registered already means this
                function from now on.

        Returns:
            The function itself.

        Raises:
            TypeError: it cannot be called, or has no name of its own and is given none.
        """
        if name is None and callable(function):
            name = getattr(function, "__name__", None)
            if name is None or not name.isidentifier():
                raise TypeError(f"this function has no name that Lua could use: {function!r}")
        self._functions.register(name, function)
        if self._threads is not None:
            for state in list(self._threads.states):
                state.lacks_functions = True
        return function

    def statistics(self) -> PoolStatistics:
        """Return what the pool has done, and does now."""
        threads = self._threads
        states = list(threads.states) if threads is not None else []
        records = self._records
        busy = self._count_busy()
        waiting, running = self._count_in_flight()
        wait, run = records.sampler.histograms(records.steps + self._in_flight)
        self._look_closer_when_due()
        return PoolStatistics(
            threads=self._thread_count,
            busy=busy,
            idle=self._thread_count - busy,
            states=len(states),
            states_made=threads.states_made if threads is not None else 0,
            states_replaced=threads.states_replaced if threads is not None else 0,
            in_flight=self._in_flight,
            waiting=waiting,
            running=running,
            paused=len(self._paused),
            coroutines=sum(state.coroutines - state.is_retired for state in states),
            submitted=waiting + running + len(self._paused) + records.ended,
            completed=records.completed,
            failed=records.failed,
            cancelled=records.cancelled,
            abandoned=records.abandoned,
            rejected=records.rejected,
            time_limited=records.time_limited,
            memory_limited=records.memory_limited,
            wait=wait,
            run=run,
        )

    def _count_busy(self) -> int:
        """Return how many threads run something."""
        workers = self._threads.workers if self._threads is not None else ()
        return sum(worker.task is not None for worker in workers)

    def _count_in_flight(self) -> tuple[int, int]:
        """Return how many tasks wait for a thread, and how many run as far as the loop knows."""
        threads = self._threads
        if threads is None:
            return 0, 0
        records = self._records
        tasks = self._in_flight + records.batched - records.granted - len(self._closings)
        running = len(threads.done)
        for worker in threads.workers:
            task = worker.task
            if task is not None and not worker.is_given_up and not isinstance(task[2], Close):
                running += records.size(task[0])
        # A task may be among `done` and be the one that its thread came from.
        running = min(running, tasks)
        return tasks - running, running

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
                self._records.granted -= 1
            self._grant_room()
            raise
        # The place was counted as taken, so that nobody could step in; now it is the caller's.
        self._in_flight -= 1
        self._records.granted -= 1
        # If the caller does not use it, the next in line must not wait for ever.
        waiter.get_loop().call_soon(self._grant_room)

    def __repr__(self) -> str:
        if self._threads is None:
            state = "not open"
        elif self._limit == _TAKES_NOTHING:
            state = "closed" if self._threads.exited.done() else "closing"
        else:
            waiting, _ = self._count_in_flight()
            state = (
                f"busy={self._count_busy()} waiting={waiting} paused={len(self._paused)} "
                f"states={len(self._threads.states)}"
            )
        return f"<ThreadPool {self._name!r} threads={self._thread_count} {state}>"

    # At exit the module `warnings` may be gone before the pool.
    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if self._limit != _TAKES_NOTHING:
            _warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
        if self._threads is not None:
            self._threads.stop()

    def _drain(self) -> None:
        """Resolve the futures of completed tasks; the threads have the loop call this."""
        assert self._threads is not None
        # First of all: what a thread completes after this line, it tells us of anew.
        self._threads.notified = False
        done = self._threads.done
        count = min(len(done), _DRAINED_AT_ONCE)
        in_flight = self._in_flight
        left = others = 0  # others than those that have returned, which are counted one by one
        try:
            for left in range(count - 1, -1, -1):  # noqa: B007 - what `finally` goes by
                future, result, error = done.popleft()
                try:
                    if error is None:
                        future.set_result(result)
                    elif error is STEPPED:
                        future.future.set_result(result)
                        future.phase = "yielded"
                        if future.is_dropped:
                            future.end()
                    elif error is PAUSED:
                        others += 1
                        self._in_flight -= 1
                        future.paused(result)
                    else:
                        others += 1
                        self._in_flight -= 1
                        self._end_otherwise(future, error)
                except asyncio.InvalidStateError:
                    # Nobody waits for the outcome: it was cancelled, or given up.
                    others += 1
                    self._in_flight -= 1
                    if error is STEPPED:
                        self._records.cancelled += 1
                        future.end()
                    else:
                        self._end_otherwise(future, error)
        finally:
            # Not before: what pauses must not find that nothing is left to do.
            self._in_flight -= count - left - others
            records = self._records
            records.completed += count - left - others
            records.steps += count - left
            if self._pace.note(count):
                records.sampler.renew(in_flight)
                self._look_closer_when_due()
            if self._waiters:
                self._grant_room()
            if done and not self._threads.notified:
                self._threads.notified = True
                self._loop.call_soon(self._drain)
            self._stop_if_done()

    def _end_otherwise(self, future: asyncio.Future[Any], error: BaseException | None) -> None:
        """End what has not just returned to somebody who waits for it."""
        if self._was_given_up(future):
            return
        if future in self._closings:
            self._closings.discard(future)
            if not future.done():
                future.set_result(None)
            return
        tasks = self._records.pop_batch(future)
        if error is VOID:
            self._records.cancelled += tasks
            future.cancel()
            return
        self._records.add_ended(future, error, tasks)
        if error is None or future.done():
            return
        if isinstance(error, asyncio.CancelledError):
            future.cancel()
        else:
            future.set_exception(error)

    def _was_given_up(self, future: asyncio.Future[Any]) -> bool:
        """Tell whether something was given up, and counted then, that completes after all."""
        if future not in self._given_up:
            return False
        self._given_up.discard(future)
        self._in_flight += 1
        return True

    def _is_full(self) -> bool:
        """Return whether the queue has no room, once it is rid of cancelled tasks; may raise."""
        self._check_open()
        if self._in_flight >= self._limit:
            # A cancelled task leaves the queue when a thread comes to it; here it is in the way.
            # Looking at the whole queue is paid for by the refusals in between.
            self._scan_in -= 1
            if self._scan_in < 0:
                self._remove_from_queue(_is_new_and_cancelled)
                self._scan_in = len(self._ready) // 8
                self._grant_room()
        return self._in_flight >= self._limit

    def _remove_from_queue(self, unwanted: Callable[[Queued], bool]) -> list[Queued]:
        """Take the `unwanted` tasks out of the queue, and return them."""
        # From the right, so that the threads, which take from the left, keep the order.
        kept: list[Queued] = []
        removed: list[Queued] = []
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
        self._records.steps += len(removed)
        for future, *_ in removed:
            assert future is not None
            self._records.cancelled += self._records.pop_batch(future)
        return removed

    def _grant_room(self) -> None:
        """Give the places that are free to those who wait for room."""
        while self._waiters and self._in_flight < self._limit:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._in_flight += 1
                self._records.granted += 1
                waiter.set_result(None)
        self._stop_if_done()

    def _check_open(self) -> None:
        if self._limit == _TAKES_NOTHING:
            if self._refusal is not None:
                raise PoolClosedError(self._name, self._refusal)
            self._open_for_use()

    def _check_room(self) -> None:
        """Raise what `submit` does if the pool takes no new task."""
        if self._is_full():
            self._records.rejected += 1
            raise QueueFullError(self._name, self._max_queue, self._in_flight - self._thread_count)

    def _put(self, future: asyncio.Future[Any], task: Task | Batch) -> None:
        """Have a thread begin or go on with something that `future` tells the end of."""
        visit: Visit = task
        if self._in_flight >= self._closer_look:
            records = self._records
            if self._in_flight >= records.sampler.due_at:
                visit = records.sampler.measured(task, records.steps, self._in_flight)
                self._look_closer_when_due()
        self._in_flight += 1
        self._ready.append((future, VISIT, visit, self))
        if self._idle:
            self._wake()

    def _put_from_task(self, future: asyncio.Future[Any], task: Task) -> bool:
        """Do that for what a task has begun, even while the pool closes, if there is room."""
        if self._limit != _TAKES_NOTHING or self._refusal is None:
            is_full = self._is_full()
        else:
            is_full = self._in_flight >= self._thread_count + self._max_queue
        if is_full or self._threads is None or self._threads.is_stopping or self._end is not None:
            return False
        self._put(future, task)
        return True

    def _put_by_thread(self, future: asyncio.Future[Any], visit: Visit) -> None:
        """Do that on a thread, which goes on to take it; the loop counts it when it hears of it."""
        self._ready.append((future, VISIT, visit, self))

    def _look_closer_when_due(self) -> None:
        """Have submit come to `_put` for the next step that is measured."""
        self._closer_look = min(self._records.sampler.due_at, self._limit)

    def _visit(self, visit: Close, done: asyncio.Future[None] | None = None) -> None:
        """Have a thread close a coroutine, which is no task, and `done` be done after it."""
        if self._threads is None or self._threads.is_stopping:
            # The states are closed, and all that is in them.
            if done is not None:
                done.set_result(None)
        else:
            if done is not None:
                self._closings.add(done)
                self._in_flight += 1
            self._ready.append((done, VISIT, visit, self))
            if self._idle:
                self._wake()

    def _give_up(self, task: Queued, error: LuaTimeLimitError) -> None:
        """End a task whose thread has been given up."""
        future = task[0]
        if future is None:
            return
        # It may yet complete, but was counted here.
        self._in_flight -= 1
        self._given_up.add(future)
        if future in self._closings:
            self._closings.discard(future)
            if not future.done():
                future.set_result(None)
        else:
            self._records.add_ended(future, error, self._records.pop_batch(future))
            if not future.done():
                future.set_exception(error)
        self._grant_room()

    def _end_lost(self, state: State) -> None:
        """End the tasks that have paused in a state which is lost."""
        assert state.lost is not None
        for task in list(self._paused):
            if task.state is state:
                task.fail(StateLostError(self._name, state.lost))

    def _check_not_served(self, caller: asyncio.Task[Any] | None) -> None:
        """Refuse to be closed by an asyncio task that a task of the pool waits for."""
        if caller is not None and any(task.is_served_by(caller) for task in self._paused):
            raise RuntimeError(
                f'thread pool "{self._name}" cannot be closed by what one of its tasks waits for'
            )

    def _close(self) -> None:
        """Take no more tasks, and let the threads leave once there is nothing more to do."""
        self._limit = self._closer_look = _TAKES_NOTHING
        if self._refusal is None:
            self._refusal = "is closed"
        if self._threads is None:
            return
        if not self._closed:
            self._closed = True
            self._refusal = "is closed"
            if len(self._ngx.pools) == 1:
                self._ngx.exiting = True
        self._stop_if_done()
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(PoolClosedError(self._name))

    def _stop_if_done(self) -> None:
        """Let the threads leave, if the pool is closed and nothing is left to do."""
        if self._closed and self._is_done():
            # While all pools close, the tasks of one may yet use another.
            pools = list(self._ngx.pools.values()) if self._ngx.exiting else [self]
            if all(pool._is_done() for pool in pools):
                for pool in pools:
                    if pool._threads is not None:
                        pool._threads.stop()

    def _is_done(self) -> bool:
        """Tell whether nothing is left to do, and nothing will come from elsewhere."""
        if self._threads is None or self._threads.is_stopping:
            return True
        return self._closed and not self._in_flight and not self._paused

    def _set_too_late(self, future: asyncio.Future[Any]) -> None:
        future.set_exception(PoolClosedError(self._name, "was closed before the task had ended"))

    def _end_all_that_do_not_run(self, end: Callable[[asyncio.Future[Any]], object]) -> None:
        """Call `end` for the future of all that is queued or paused, or pauses from now on."""
        assert self._threads is not None
        self._end = end
        for future, *_ in self._remove_from_queue(_is_new):
            _end_if_not_done(future, end)
        # Those that were to go on have a coroutine, which a thread will close.
        for future, _, visit, _ in list(self._ready):
            if not isinstance(visit, Close):
                _end_if_not_done(future, end)
        for task in list(self._paused):
            _end_if_not_done(task.future, end)
            task.end()
        self._stop_if_done()

    async def _end_all(self, end: Callable[[asyncio.Future[Any]], object]) -> None:
        """Do that for all, and give up those that run and cannot be stopped."""
        threads = self._threads
        assert threads is not None
        self._end_all_that_do_not_run(end)
        while True:
            set_aside = [task for state in list(threads.states) for task in list(state.aside)]
            for future, _, visit, _ in set_aside:
                if not isinstance(visit, Close):
                    _end_if_not_done(future, end)
            waiting = {task[0] for task in (*list(self._ready), *set_aside)}
            completed = {getattr(what, "future", what) for what, *_ in list(threads.done)}
            entered = [task for worker in threads.workers if (task := worker.task) is not None]
            closing = {task[0] for task in entered if isinstance(task[2], Close)}
            running = {task[0] for task in entered} - closing - waiting - completed
            for future in running:
                _end_if_not_done(future, end)
            known = len((waiting | completed | closing | running) - {None})
            begun = sum(type(what) is Begun for what, *_ in list(threads.done))
            if known >= self._in_flight + begun:
                break
            # A thread has taken a task and not yet come to note it: it needs the GIL for that.
            await asyncio.sleep(0)
        threads.stop()
        self._stop_if_done()
        # Coroutines are closed in a moment, unless a to-be-closed variable takes its time.
        await asyncio.wait([threads.exited], timeout=0 if running else _GRACE)
        self._gave_up = not threads.exited.done()


# The pools whose threads may still run.
_open_pools: weakref.WeakSet[ThreadPool] = weakref.WeakSet()


def _forget_threads() -> None:
    """In a forked child: the threads stayed in the parent."""
    for pool in list(_open_pools):
        pool._limit = pool._closer_look = _TAKES_NOTHING
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


def _is_new(task: Queued) -> bool:
    """Tell whether what is in the queue has not begun, so that nobody need hear of its end."""
    return task[1] is not VISIT or task[2].state is None


def _is_new_and_cancelled(task: Queued) -> bool:
    return task[0] is not None and task[0].cancelled() and _is_new(task)


def _cancel(future: asyncio.Future[Any]) -> None:
    future.cancel()


def _end_if_not_done(
    future: asyncio.Future[Any] | None, end: Callable[[asyncio.Future[Any]], object]
) -> None:
    if future is not None and not future.done():
        end(future)


def check_timeout(timeout: object) -> None:
    """Raise what `ThreadPool.aclose` does for an argument that it cannot take."""
    if timeout is not None:
        _check_seconds(timeout, "timeout")
        if not timeout >= 0:  # type: ignore[operator]
            raise ValueError(f"timeout must not be negative, not {timeout!r}")


def _check_seconds(value: object, parameter: str) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{parameter} must be a number, not {type(value).__name__}")


def _check(value: object, parameter: str, kind: type, at_least: int | None = None) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{parameter} must be {kind.__name__}, not {type(value).__name__}")
    if at_least is not None and value < at_least:  # type: ignore[operator]
        raise ValueError(f"{parameter} must be at least {at_least}, not {value!r}")
