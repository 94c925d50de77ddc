"""What a task has of ``ngx`` that outlives a step, and does not outlive the task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

    from .._task import Ended, Task
    from .light_threads import LightThread
    from .worker import NgxWorker


class Closable(Protocol):
    """Something that is closed with its task."""

    def close(self) -> None:
        """Close it; on the loop."""


def context_of(task: Task) -> TaskContext:
    """
    Return the context of a task, or of the one that a light thread belongs to.

    Only a step of the task, or what it waits for, may ask: then nobody else makes one.
    """
    root = task.root
    if root.ngx is None:
        root.ngx = TaskContext(root)
    return root.ngx


class TaskContext:
    """
    The light threads of a task, and what else it has open.

    A task that has returned ends when its light threads have, as in OpenResty. One that has failed,
    or was cancelled, ends at once, and they with it.
    """

    __slots__ = ("_ended", "_is_closed", "_task", "_waiters", "resources", "threads")

    def __init__(self, task: Task) -> None:
        self._task = task
        self.resources: dict[int, Closable] = {}
        """What is open, such as sockets, by a number that Lua has. The loop's alone."""

        self.threads: dict[int, LightThread] = {}
        """The light threads that have not ended, by a number that Lua has. The loop's alone."""

        self._waiters: dict[int, asyncio.Future[int]] = {}  # by each thread that they wait for
        self._is_closed = False
        self._ended: Ended | None = None  # what the task has come to, while its threads go on

    @property
    def worker(self) -> NgxWorker:
        """What the task has in common with others."""
        return self._task.pool._ngx

    def add_thread(self, thread: LightThread) -> None:
        """Note that a light thread has begun."""
        if self._is_closed:
            thread.cancel()
            return
        self.threads[thread.number] = thread
        thread.future.add_done_callback(lambda _: self._thread_ended(thread))

    def first_to_end(self, numbers: tuple[int, ...]) -> asyncio.Future[int] | int:
        """Return which of some light threads has ended, or what is done with it when one has."""
        for number in numbers:
            if number not in self.threads:
                return number
        waiter: asyncio.Future[int] = self._task.pool._loop.create_future()
        # Nobody else waits for one of these: it would have to be who has begun them.
        self._waiters.update(dict.fromkeys(numbers, waiter))

        def forget(_: asyncio.Future[int]) -> None:
            for number in numbers:
                self._waiters.pop(number, None)

        waiter.add_done_callback(forget, context=self._task.pool._callback_context)
        return waiter

    def _thread_ended(self, thread: LightThread) -> None:
        del self.threads[thread.number]
        if not thread.future.cancelled():
            error = thread.future.exception()
            if error is not None:
                # A limit, or a lost state: what the code of a light thread raises stays in Lua.
                self._task.fail_wherever_it_is(error)
                return
        waiter = self._waiters.get(thread.number)
        if waiter is not None and not waiter.done():
            waiter.set_result(thread.number)
        if self._ended is not None and not self.threads:
            self._end()

    def task_ended(self, ended: Ended) -> None:
        """Hear that the code of the task has come to its end; the loop has the task."""
        task = self._task
        self._ended = ended
        if self.threads and ended.error is None:
            if task.pool._end is not None and not task.future.done():
                task.pool._end(task.future)
            if not task.future.done():
                task.pool._paused[task] = None
                task.watch_future()
                return
        self._end()

    def _end(self) -> None:
        ended, self._ended = self._ended, None
        assert ended is not None
        self.close()
        self._task.end_by(ended)

    def close(self) -> None:
        """End the light threads, and close what is open."""
        self._ended = None
        self._is_closed = True
        for thread in list(self.threads.values()):
            thread.cancel()
        while self.resources:
            self.resources.popitem()[1].close()
