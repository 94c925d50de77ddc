"""What a task yields, as an asynchronous iterator: ``pool.stream``."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from contextvars import copy_context
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ._exceptions import CoroutineError, MarshalError, PoolClosedError
from ._host import as_result
from ._state import Pause, State
from ._task import PAUSED, Completion, Ended, Task

if TYPE_CHECKING:
    from ._chunk import Chunk
    from ._pool import ThreadPool


class StreamedTask(Task):
    """
    A task that may go on, after it has yielded, until as many rows wait as its consumer allows.

    A thread that has got a row compares two counts: `_sent`, which is the threads', and how many
    rows the loop allows. If there is more to come, the task goes back into the queue at once,
    and the row says so; otherwise the task is the loop's, which compares again, as more may
    have been asked for meanwhile.
    """

    __slots__ = ("_arrival", "_sent", "asked", "prefetch", "rows")

    def __init__(
        self, pool: ThreadPool, chunk: Chunk | str, args: tuple[object, ...], prefetch: int
    ) -> None:
        context = copy_context() if pool._functions else None
        super().__init__(pool, pool._create_future(), chunk, args, context)
        self.prefetch = prefetch
        """How many rows it may yield beyond those."""

        self.asked = 0
        """How many rows the consumer has asked for. Written by the loop."""

        self.rows: deque[object] = deque()
        """The rows that the consumer has not taken yet. The loop's."""

        self._sent = 0  # rows yielded; written by the threads
        self._arrival: asyncio.Future[None] | None = None  # what the consumer awaits

    def run(self, state: State) -> Completion:
        """Do a step."""
        completion = super().run(state)
        _, pause, error = completion
        if error is PAUSED:
            if type(pause) is Ended:
                return completion
            if type(pause) is Pause:
                if pause.function is not None or pause.refusal is not None:
                    return completion
                pause = as_result(tuple(pause.values))
            self._sent += 1
            if self._may_go_on():
                self.pool._put_by_thread(self.future, self)
                return RowsAhead(self), pause, PAUSED
        return completion

    def add(self, row: object) -> None:
        """Take a row, and wake the consumer if it waits."""
        self.rows.append(row)
        self._wake_consumer()

    def _yielded(self, values: tuple[Any, ...]) -> None:
        self.phase = "yielded"
        self.pool._records.completed += 1
        self.add(as_result(values))
        self.go_on()

    def _refused(self, refusal: MarshalError) -> None:
        self.fail(refusal)

    def start(self) -> None:
        """Have the threads begin."""
        self.future.add_done_callback(self._ended)
        self.pool._put(self.future, self)

    def go_on(self) -> None:
        """Resume the task, if it waits for that and more rows may come."""
        if self.waits_to_go_on and self._may_go_on():
            self.resume(())

    def _may_go_on(self) -> bool:
        # A pool that closes waits for what was asked for, and no more.
        return self._sent < self.asked + (0 if self.pool._closed else self.prefetch)

    def cancel_and_close(self) -> asyncio.Future[None] | None:
        """End the task, and return what is done when its coroutine has been closed, if it waits."""
        self.future.cancel()
        if not self._with_loop:
            return None
        closed: asyncio.Future[None] = self.pool._create_future()
        self.end(closed)
        return closed

    @property
    def waits_to_go_on(self) -> bool:
        """Whether it has yielded, and waits to be resumed."""
        return self._with_loop and self.phase == "yielded"

    async def arrival(self) -> None:
        """Wait until there is a row, or until the task has ended."""
        self._arrival = self.pool._create_future()
        try:
            await self._arrival
        finally:
            self._arrival = None

    def _ended(self, future: asyncio.Future[Any]) -> None:
        if not future.cancelled():
            future.exception()  # It has been heard of; the consumer will, if there is one.
        if self._with_loop:
            self.end()
        self._wake_consumer()

    def _wake_consumer(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)


class RowsAhead:
    """What gets the rows of a streamed task that goes on by itself; on the loop."""

    __slots__ = ("_task",)

    def __init__(self, task: StreamedTask) -> None:
        self._task = task

    @property
    def future(self) -> asyncio.Future[Any]:
        """That of the task."""
        return self._task.future

    def paused(self, row: object) -> None:
        """Take a row, and count the task as put into the queue, which a thread has done."""
        self._task.pool._in_flight += 1
        self._task.pool._records.completed += 1
        self._task.add(row)


class Stream:
    """
    The values that a task yields, one after the other; `ThreadPool.stream` makes it.

    It is an asynchronous iterator. The task begins with the first step, and is ended at once by
    `aclose`, by leaving ``async with``, and when nothing refers to the stream any more, as after
    leaving ``async for``.
    """

    __slots__ = (
        "__weakref__",
        "_at_end",
        "_being_read",
        "_cancelled",
        "_started",
        "_taken",
        "_task",
    )

    def __init__(self, task: StreamedTask) -> None:
        self._task = task
        self._taken = 0
        self._started = False
        self._being_read = False
        self._cancelled = False  # which must not look like the end
        self._at_end = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        """
        Return what the task yields next.

        Cancelling this ends the task, as it does with an asynchronous generator.

        Raises:
            StopAsyncIteration: the task has ended.
            CoroutineError: a step before this one was cancelled.
            LuaError: the code failed or does not compile; likewise the other errors of
                `ThreadPool.submit`.
            RuntimeError: another task waits for the next row already.
        """
        if self._at_end:
            raise StopAsyncIteration
        if self._cancelled:
            raise CoroutineError("destroyed")
        if self._being_read:
            raise RuntimeError("a stream is read by one task at a time")
        task = self._task
        task.asked = self._taken + 1
        self._being_read = True
        try:
            if not self._started:
                task.pool._check_room()
                self._started = True
                task.start()
            elif not task.pool._closed:
                task.go_on()
            while not task.rows:
                if task.future.done():
                    if not self._at_end:
                        self._at_end = True
                        task.future.result()  # Raises what the task has ended by, if it has failed.
                    raise StopAsyncIteration
                if task.pool._closed and task.waits_to_go_on:
                    self._at_end = True
                    raise PoolClosedError(task.pool.name)
                await task.arrival()
        except asyncio.CancelledError:
            self._cancelled = True
            task.cancel()
            raise
        finally:
            self._being_read = False
        self._taken += 1
        return task.rows.popleft()

    async def aclose(self) -> None:
        """
        End the task, now, and wait until its coroutine has been closed, if that had yielded.

        A step that waits for a row ends the iteration.
        """
        self._at_end = True
        task = self._task
        task.rows.clear()
        if self._started:
            closed = task.cancel_and_close()
            if closed is not None:
                await closed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if self._started and not self._task.future.done():
            # Any thread may drop it.
            with suppress(RuntimeError):
                self._task.pool._loop.call_soon_threadsafe(self._task.cancel)
