"""
``ngx.run_worker_thread`` and ``resty.threadpool``: tasks that have others run.

The caller is paused meanwhile, so it holds no thread: it may use its own pool, whose only thread it
came from. What goes from one to the other goes as requests do, strings as bytes: the pools may
have different encodings, and no Python code sees the values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from .._exceptions import LuaError
from .._state import Native
from .._task import Task
from .context import context_of
from .requests import Request

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from .._pool import ThreadPool
    from .worker import NgxWorker

_CALL: Final = Native("call")
_COROUTINE: Final = Native("coroutine")


class CalledTask(Task):
    """A task that another one has begun, which gets the results."""

    __slots__ = ("coroutine", "results")

    def __init__(self, pool: ThreadPool, code: Native, args: tuple[object, ...]) -> None:
        super().__init__(pool, pool._create_future(), code, args, None)
        self.results: tuple[Any, ...] = ()
        """What its function has returned."""

        self.coroutine: CalledCoroutine | None = None
        """What its yields go to, if they go to somebody."""

    def start(self) -> bool:
        """Put it into the queue, and tell whether there is room."""
        return self.pool._put_from_task(self.future, self)

    def failure(self) -> bytes | None:
        """Return the error by which it has ended, or None if it has returned."""
        if self.future.cancelled():
            return b"the task was cancelled"
        error = self.future.exception()
        if error is None:
            return None
        text = error.value if isinstance(error, LuaError) else str(error)
        if isinstance(text, bytes):
            return text
        return (text if isinstance(text, str) else str(error)).encode(errors="replace")


def _pool_of(task: Task, name: bytes) -> ThreadPool | None:
    return task.pool._ngx.pools.get(name.decode(errors="replace"))


def _done(task: Task, *results: object) -> None:
    """Take what the function of a task has returned."""
    assert isinstance(task, CalledTask)
    task.results = results


def _run(task: Task, name: bytes, *args: object) -> object:
    pool = _pool_of(task, name)
    if pool is None:
        return False, b"thread_pool not found"
    called = CalledTask(pool, _CALL, args)
    if not called.start():
        return False, b"ngx_thread_task_post failed"
    answer: asyncio.Future[tuple[object, ...]] = pool._loop.create_future()

    def ended(_: asyncio.Future[None]) -> None:
        failure = called.failure()
        if not answer.done():
            answer.set_result((True, *called.results) if failure is None else (False, failure))

    called.future.add_done_callback(ended)
    answer.add_done_callback(lambda _: called.cancel() if answer.cancelled() else None)
    return answer


class CalledCoroutine:
    """
    A coroutine that a task resumes in another one: `t` of ``t:resume()``.

    It is ended with the task that has begun it.
    """

    def __init__(self, task: CalledTask) -> None:
        self._task = task
        task.coroutine = self
        task.future.add_done_callback(self._ended)
        self._resumer: asyncio.Future[tuple[object, ...]] | None = None
        self._answer: asyncio.Future[tuple[object, ...]] | None = None

    @property
    def status(self) -> Literal[b"queued", b"running"]:
        """Whether a thread has come to it since it was resumed. Any thread may ask."""
        return b"queued" if self._task.phase == "queued" else b"running"

    def resumed(self) -> asyncio.Future[tuple[object, ...]]:
        """Return what is done when the coroutine yields or ends."""
        self._resumer = self._task.pool._loop.create_future()
        return self._resumer

    def resume(self, values: tuple[object, ...]) -> None:
        """Let ``coroutine.yield`` return these."""
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(values)

    def yielded(self, values: tuple[object, ...]) -> asyncio.Future[tuple[object, ...]]:
        """Tell who has resumed it, and return what is done with the values of the next time."""
        self._tell((b"yielded", *values))
        self._answer = self._task.pool._loop.create_future()
        return self._answer

    def _ended(self, _: asyncio.Future[None]) -> None:
        failure = self._task.failure()
        self._tell((b"success", *self._task.results) if failure is None else (b"failed", failure))

    def _tell(self, outcome: tuple[object, ...]) -> None:
        resumer, self._resumer = self._resumer, None
        if resumer is not None and not resumer.done():
            resumer.set_result(outcome)

    def close(self) -> None:
        """End it, for nobody will resume it; on the loop."""
        self._task.cancel()


def _start(task: Task, number: int, name: bytes, *args: object) -> object:
    pool = _pool_of(task, name)
    if pool is None:
        return b"failed", b"no pool '%b' found" % name
    mine, its = task.pool._options.implementation.name, pool._options.implementation.name
    if mine != its:
        return b"failed", f"cannot pass a function of {mine} to {its}".encode()
    called = CalledTask(pool, _COROUTINE, args)
    coroutine = CalledCoroutine(called)
    if not called.start():
        return b"failed", b"failed to post task to queue"
    task.pool._ngx.coroutines[number] = coroutine
    context_of(task).resources[number] = coroutine
    return coroutine.resumed()


def _resume(task: Task, number: int, *values: object) -> object:
    coroutine = context_of(task).resources.get(number)
    if not isinstance(coroutine, CalledCoroutine):
        return b"failed", b"the task that has begun it has ended"
    resumed = coroutine.resumed()
    coroutine.resume(values)
    return resumed


def _yield(task: Task, *values: object) -> asyncio.Future[tuple[object, ...]]:
    assert isinstance(task, CalledTask)
    assert task.coroutine is not None
    return task.coroutine.yielded(values)


def _close(task: Task, number: int) -> None:
    coroutine = context_of(task).resources.pop(number, None)
    if coroutine is not None:
        coroutine.close()


def upcalls(worker: NgxWorker) -> dict[bytes, Callable[..., object]]:
    """Return what Lua calls on the spot, by name."""

    def status(number: int) -> bytes | None:
        coroutine = worker.coroutines.get(number)
        return None if coroutine is None else coroutine.status

    return {b"threadpool.status": status}


REQUESTS: Final = {
    b"worker_thread.run": Request(_run, on_loop=True),
    b"worker_thread.done": Request(_done),
    b"threadpool.start": Request(_start, on_loop=True),
    b"threadpool.resume": Request(_resume, on_loop=True),
    b"threadpool.yield": Request(_yield, on_loop=True),
    b"threadpool.close": Request(_close, on_loop=True),
}
