"""A coroutine that its owner resumes step by step: ``pool.create``."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import copy_context
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from ._exceptions import CoroutineError, MarshalError, PoolClosedError
from ._host import as_result
from ._state import Pause, State
from ._task import STEPPED, VISIT, Task

if TYPE_CHECKING:
    from ._chunk import Chunk
    from ._pool import ThreadPool

Status: TypeAlias = Literal[
    "created", "queued", "running", "yielded", "success", "failed", "destroyed"
]


class SteppedTask(Task):
    """A task that waits, whenever it has yielded, until its owner resumes it."""

    _mark = STEPPED

    __slots__ = ("is_dropped", "is_refused")

    def __init__(self, pool: ThreadPool, chunk: Chunk | str) -> None:
        super().__init__(pool, pool._create_future(), chunk, (), None)
        self.phase = "created"
        self.is_refused = False
        """Whether its first arguments cannot cross, so that it has not begun."""

        self.is_dropped = False
        """Whether nobody will resume it any more. Any thread may say so."""

    @property
    def status(self) -> Status:
        """What `Coroutine.status` tells."""
        phase, future = self.phase, self.future
        if phase in ("queued", "running"):
            if not future.done():
                return phase
            if future.cancelled():
                return "destroyed"
            error = future.exception()
            if error is None:
                return "success"
            if self.pool._closed and isinstance(error, PoolClosedError):
                return "destroyed"
            return "created" if self.is_refused else "failed"
        return phase if phase == "destroyed" or not self.pool._closed else "destroyed"

    def close_by_owner(self) -> asyncio.Future[None]:
        """End the coroutine, and return what is done when it has been closed."""
        closed: asyncio.Future[None] = self.pool._create_future()
        if self.status not in ("success", "failed"):
            is_waiting = self.phase == "yielded"
            self.phase = "destroyed"
            self.future.cancel()
            if self._with_loop or is_waiting:
                self.end(closed)
                return closed
        closed.set_result(None)
        return closed

    def check_unbegun(self) -> None:
        """Raise unless it can begin."""
        if self.pool._closed:
            raise PoolClosedError(self.pool.name)
        status = self.status
        if status != "created":
            raise CoroutineError(status)
        self.pool._check_room()
        self.is_refused = False

    def drop(self) -> None:
        """End the coroutine once it waits to be resumed, which nobody will do; on any thread."""
        self.is_dropped = True
        if self.phase == "yielded":
            with suppress(RuntimeError):
                self.pool._loop.call_soon_threadsafe(self.close_by_owner)

    def _step(self, state: State) -> object:
        args = self._answer
        try:
            return super()._step(state)
        except MarshalError:
            self.is_refused = self.state is None and not state.accepts(args)
            raise

    def _refuse(self, state: State, error: MarshalError) -> object:
        if self._function is not None:
            return super()._refuse(state, error)
        return Pause(self._place, None, (), error)  # It has not been resumed, and can be.

    def _yielded(self, values: tuple[Any, ...]) -> None:
        self.future.set_result(as_result(values))
        self.pool._records.completed += 1
        self._wait_for_owner()

    def _refused(self, refusal: MarshalError) -> None:
        self.future.set_exception(refusal)
        self.pool._records.add_error(refusal)
        self._wait_for_owner()

    def _wait_for_owner(self) -> None:
        self._with_loop = False
        self.phase = "yielded"
        if self.is_dropped:
            self.end()


class Coroutine:
    """
    A Lua coroutine that its owner resumes; `ThreadPool.create` makes it.

    It is what ``threadpool.create`` returns in lua-resty-threadpool, and `resume` its ``t:resume``.

    While it waits to be resumed it holds no thread, and keeps only its place in a Lua state. It is
    ended by `close`, by leaving ``async with``, and when nothing refers to it any more.
    """

    __slots__ = ("__weakref__", "_task")

    def __init__(self, task: SteppedTask) -> None:
        self._task = task

    @property
    def status(self) -> Status:
        """
        What it is doing, in the words of lua-resty-threadpool.

        - ``created``: it has not been resumed yet.
        - ``queued``: it has been resumed, and no thread has come to it yet.
        - ``running``: it runs, or waits for a host function.
        - ``yielded``: it waits to be resumed.
        - ``success``: it has returned.
        - ``failed``: it has raised an error.
        - ``destroyed``: it was closed, or its pool was.
        """
        return self._task.status

    def resume(self, *args: object) -> asyncio.Future[Any]:
        """
        Run the coroutine until it yields or ends.

        Args:
            args: the arguments of the chunk the first time, and then what its ``coroutine.yield``
                returns.

        Returns:
            A future. Its result is what the coroutine yields or returns: ``None`` for no value, the
            value itself for one, a tuple for several. `status` tells which it was: ``yielded`` or
            ``success``. Cancelling it closes the coroutine. Its exception is one of those of
            `ThreadPool.submit`; after a `MarshalError` for one of `args`, or for a value that was
            yielded, the coroutine can be resumed again.

        Raises:
            CoroutineError: it runs or has ended.
            QueueFullError: it would begin to run, and `max_queue` tasks wait already. A coroutine
                that has begun is never refused.
            PoolClosedError: the pool is closed.
        """
        task = self._task
        pool = task.pool
        if task.phase != "yielded" or pool._closed:
            task.check_unbegun()
        task.future = future = pool._create_future()
        task.phase = "queued"
        task._answer = args
        if pool._functions:
            task._context = copy_context()
        if pool._in_flight >= pool._closer_look:
            pool._put(future, task)
            return future
        # What that does otherwise: as often as a task is submitted.
        pool._in_flight += 1
        pool._ready.append((future, VISIT, task, pool))
        if pool._idle:
            pool._wake()
        return future

    def close(self) -> asyncio.Future[None]:
        """
        End the coroutine, now. Does nothing if it has ended.

        One that waits is closed by the next thread that is free, as Lua's ``coroutine.close``
        does: from Lua 5.4 on its to-be-closed variables are run. One that runs is abandoned.

        Returns:
            A future that is done when a coroutine that waited has been closed. It need not be
            awaited.
        """
        return self._task.close_by_owner()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<Coroutine of {self._task.pool.name!r}: {self.status}>"

    def __del__(self) -> None:
        self._task.drop()
